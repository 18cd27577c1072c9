package portal_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/session"
)

func linking(o *provider.Options) { o.LinkEmail = "local" }

func verifiedAs(email any) map[string]any {
	return map[string]any{"sub": "d", "email": email, "email_verified": true, "groups": []string{"admins"}, "picture": "https://acme.example/d.png"}
}

func (f *atProvider) signedIn(b *visitor) session.User {
	f.t.Helper()
	in, err := f.hosted.Server.SignedIn(f.t.Context(), b.session())
	if err != nil {
		f.t.Fatal(err)
	}
	return in.User
}

func TestAVerifiedEmailIsTheLocalUserWhoHasItWhereThatIsAllowed(t *testing.T) {
	f := newAtProvider(t, linking)
	desk := f.visitor()
	desk.try("demo", "demo password")
	local := f.signedIn(desk)
	b := f.signsIn(verifiedAs("Demo@Example.com"))
	u := f.signedIn(b)
	if u.Subject != local.Subject || u.Name != "demo" || u.Email != "demo@example.com" || !slices.Equal(u.Groups, []string{"players"}) ||
		u.Signin != "acme" || u.Linked != "local" || u.ProviderID != "d" || u.Avatar != "https://acme.example/d.png" {
		t.Errorf("signed in as %+v", u)
	}
	u.Mark = "" // as sessions began that know of none
	if _, may := f.hosted.Methods.Current(u); !may {
		t.Error("a linked session without a mark does not live on")
	}
	if u := f.signedIn(desk); u.Signin != "local" || u.Linked != "" {
		t.Errorf("the local session became %+v", u)
	}
	// What the provider ends is what began there, and not the user's own.
	want(t, f.logsOut(f.logoutToken(map[string]any{"sub": "d"})), http.StatusOK)
	if f.who(b.session()) != "" || f.who(desk.session()) != "demo" {
		t.Errorf("of the provider: %q, of the password: %q", f.who(b.session()), f.who(desk.session()))
	}
}

// Class 20, and what takes an account over.
func TestClass20AnEmailLinksNobodyUnlessItIsOneThatWasVerified(t *testing.T) {
	claims := func(change func(c map[string]any)) map[string]any {
		c := verifiedAs("demo@example.com")
		change(c)
		return c
	}
	for name, c := range map[string]struct {
		claims map[string]any
		change func(*provider.Options)
	}{
		"where nothing is said of it":  {verifiedAs("demo@example.com"), func(*provider.Options) {}},
		"that was not verified":        {claims(func(c map[string]any) { c["email_verified"] = false }), linking},
		"of which that is not said":    {claims(func(c map[string]any) { delete(c, "email_verified") }), linking},
		"that is the user's name":      {claims(func(c map[string]any) { delete(c, "email"); c["preferred_username"] = "demo@example.com" }), linking},
		"that is the local name":       {claims(func(c map[string]any) { c["email"], c["preferred_username"] = "demo", "demo" }), linking},
		"with two @":                   {verifiedAs("demo@example.com@evil.example"), linking},
		"with two @, in other order":   {verifiedAs("evil@evil.example@example.com"), linking},
		"with the address in brackets": {verifiedAs("Evil <demo@example.com>"), linking},
		"with a space":                 {verifiedAs("demo@example.com "), linking},
		"with a NUL":                   {verifiedAs("demo@example.com\x00"), linking},
		"with a line":                  {verifiedAs("demo@example.com\n"), linking},
		"that is a list":               {verifiedAs([]string{"demo@example.com"}), linking},
		"that looks alike":             {verifiedAs("demо@example.com"), linking}, // with a Cyrillic o
		"of nobody":                    {verifiedAs("eve@example.com"), linking},
		"of a user without one":        {verifiedAs(""), linking},
	} {
		f := newAtProvider(t, c.change)
		u := f.signedIn(f.signsIn(c.claims))
		if u.Subject != f.acme.Derived("d") || u.Linked != "" || u.Name == "demo" || slices.Contains(u.Groups, "players") {
			t.Errorf("an address %s: %+v", name, u)
		}
	}
}

func TestALinkedUserIsThatOfNow(t *testing.T) {
	demo := local.Account{Name: "demo", Email: "demo@example.com", Groups: []string{"players"}}
	another := newFixture(t).work.Hash(t, 11, "another password")
	for name, c := range map[string]struct {
		now  []local.Account
		link string
		who  string
	}{
		"as before":             {[]local.Account{demo}, "local", "demo"},
		"in another group":      {[]local.Account{{Name: "demo", Email: "demo@example.com", Groups: []string{"others"}}}, "local", "demo"},
		"disabled":              {[]local.Account{{Name: "demo", Email: "demo@example.com", Disabled: true}}, "local", ""},
		"gone":                  {nil, "local", ""},
		"with another address":  {[]local.Account{{Name: "demo", Email: "other@example.com"}}, "local", ""},
		"with another password": {[]local.Account{{Name: "demo", Email: "demo@example.com", Hash: another}}, "local", ""},
		"without one":           {[]local.Account{{Name: "demo"}}, "local", ""},
		"linked no more":        {[]local.Account{demo}, "", ""},
		"linked to a new user":  {[]local.Account{{Name: "other", Email: "demo@example.com"}}, "local", ""},
	} {
		f := newAtProvider(t, linking)
		hash := f.work.Made("demo password")
		b := f.signsIn(verifiedAs("demo@example.com"))
		for i := range c.now {
			if name != "with another password" {
				c.now[i].Hash = hash
			}
		}
		f.use(f.accounts(c.now...), f.provider.Method(func(o *provider.Options) { o.LinkEmail, o.Now = c.link, f.clock.Now }))
		if got := f.who(b.session()); got != c.who {
			t.Errorf("%s: %q is signed in", name, got)
		}
		if c.who != "" {
			if u := f.signedIn(b); !slices.Equal(u.Groups, c.now[0].Groups) || u.Signin != "acme" || u.Linked != "local" {
				t.Errorf("%s: %+v", name, u)
			}
		}
	}
}

func TestADisabledLocalUserDoesNotComeInThroughTheProvider(t *testing.T) {
	f := newAtProvider(t, linking)
	f.use(f.accounts(local.Account{Name: "demo", Email: "demo@example.com", Disabled: true, Hash: f.work.Hash(t, 10, "demo password")}), f.acme)
	b := f.visitor()
	w := f.comes(b, verifiedAs("demo@example.com"))
	want(t, w, http.StatusForbidden)
	wantText(t, w, "Your account here is disabled")
	if b.session() != "" {
		t.Error("a user is signed in")
	}
}

// Who names themselves at a provider may have come before the user of this site
// who has that name.
func TestAUserOfThisSiteTakesTheirNameFromSessionsThatHadIt(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		then   string
	}{
		"its address": {map[string]any{"sub": "d", "preferred_username": "Chief", "email": "eve@example.com", "email_verified": true}, "eve@example.com"},
		"its subject": {map[string]any{"sub": "d", "preferred_username": "Chief", "email": "chief@example.com", "email_verified": true}, ""},
	} {
		f := newAtProvider(t, func(*provider.Options) {})
		b := f.signsIn(c.claims)
		if u := f.signedIn(b); u.Name != "Chief" {
			t.Fatalf("signed in as %+v", u)
		}
		chief := local.Account{Name: "chief", Email: "chief@example.com", Hash: f.work.Hash(t, 10, "chief password")}
		f.use(f.accounts(chief), f.acme)
		want := c.then
		if want == "" {
			want = f.acme.Derived("d")
		}
		if u := f.signedIn(b); u.Name != want || u.Subject != f.acme.Derived("d") {
			t.Errorf("then called by %s: %+v", name, u)
		}
	}
}
