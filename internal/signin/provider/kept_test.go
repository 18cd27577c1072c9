package provider_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/session"
)

// named has a method keep claims.
func named(f *providertest.Provider, names ...string) *provider.Method {
	p := f.Method()
	p.ReadClaims(func() []string { return names })
	return p
}

func TestClaimsThatGatesNameAreKept(t *testing.T) {
	type claims = map[string]any
	for name, c := range map[string]struct {
		token, userinfo claims
		values          []string
		read            bool
	}{
		"a text":                     {token: claims{"department": "art"}, values: []string{"art"}, read: true},
		"a list":                     {token: claims{"department": []any{"art", "games"}}, values: []string{"art", "games"}, read: true},
		"a number":                   {token: claims{"department": 17}, values: []string{"17"}, read: true},
		"a truth":                    {token: claims{"department": true}, values: []string{"true"}, read: true},
		"by the userinfo endpoint":   {userinfo: claims{"department": "art"}, values: []string{"art"}, read: true},
		"none":                       {read: true},
		"an object":                  {token: claims{"department": claims{"name": "art"}}},
		"a list of objects":          {token: claims{"department": []any{claims{"name": "art"}}}},
		"a number that was rounded":  {token: claims{"department": 1e300}},
		"over the bound":             {token: claims{"department": strings.Repeat("x", session.MaxClaimSize)}},
		"with control characters":    {token: claims{"department": "a\x01b"}},
		"an endpoint that is broken": {userinfo: claims{"broken": true}},
	} {
		t.Run(name, func(t *testing.T) {
			f := providertest.New(t)
			f.Claims, f.Userinfo = c.token, c.userinfo
			if c.userinfo["broken"] != nil {
				f.Claims = claims{"preferred_username": "Ann", "email": "ann@acme.example", "email_verified": true, "groups": []string{"players"}, "picture": "https://acme.example/a.png"}
				f.Handle["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
			}
			u, err := named(f, "department").Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
			if err != nil {
				t.Fatal(err)
			}
			values, read := u.Claims.Values("department")
			if !slices.Equal(values, c.values) || read != c.read {
				t.Errorf("got %q, %v", values, read)
			}
			if !c.read && !u.Claims.Unread("department") {
				t.Error("it does not count as a claim that could not be read")
			}
		})
	}
}

func TestAnAddressThatIsNotVerifiedIsKeptWhereARuleNamesAddresses(t *testing.T) {
	type claims = map[string]any
	for name, c := range map[string]struct {
		token  claims
		values []string
		read   bool
	}{
		"verified":                {claims{"email": "ann@acme.example", "email_verified": true}, nil, true},
		"not verified":            {claims{"email": "ann@acme.example", "email_verified": false}, []string{"ann@acme.example"}, true},
		"it does not say whether": {claims{"email": "ann@acme.example"}, []string{"ann@acme.example"}, true},
		"two @":                   {claims{"email": "ann@a.example@b.example", "email_verified": true}, []string{"ann@a.example@b.example"}, true},
		"none":                    {claims{}, nil, true},
		"an object":               {claims{"email": claims{"x": "y"}}, nil, false},
	} {
		f := providertest.New(t)
		f.Claims = c.token
		u, err := named(f, session.ClaimEmail).Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
		values, read := u.Claims.Values(session.ClaimEmail)
		if err != nil || !slices.Equal(values, c.values) || read != c.read {
			t.Errorf("%s: %q, %v, %v", name, values, read, err)
		}
	}
}

func TestGroupsThatAreNotAllAreMarked(t *testing.T) {
	many := make([]string, 201)
	for i := range many {
		many[i] = strings.Repeat("g", i+1)[:min(i+1, 40)] + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
	}
	for name, c := range map[string]struct {
		groups any
		unread bool
	}{
		"a list":        {[]string{"players"}, false},
		"none":          {nil, false},
		"too many":      {many, true},
		"another shape": {[]any{[]any{"players"}}, true},
	} {
		f := providertest.New(t)
		f.Claims = map[string]any{"groups": c.groups}
		u, err := named(f).Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
		if err != nil || u.Claims.Unread(session.ClaimGroups) != c.unread {
			t.Errorf("%s: groups %d, marked %v, %v", name, len(u.Groups), !c.unread, err)
		}
	}
	f := providertest.New(t) // Entra ID, of more than 200 groups
	f.Claims = map[string]any{
		"_claim_names":   map[string]any{"groups": "src1"},
		"_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://graph.example/groups"}},
	}
	if u, err := named(f).Finish(t.Context(), providertest.Request, providertest.GoodAnswer); err != nil || !u.Claims.Unread(session.ClaimGroups) {
		t.Errorf("groups elsewhere: %v", err)
	}
}

// A refresh says what the user is now. What cannot be read stays.
func TestARenewalReadsTheUserAgain(t *testing.T) {
	type claims = map[string]any
	before := session.User{
		Subject: "s", ProviderID: "ann-at-acme", Name: "Ann", Email: "ann@acme.example", Groups: []string{"players"},
		Claims: session.Claims{}.With("department", "art"),
	}
	for name, c := range map[string]struct {
		token, userinfo claims
		answer          claims // of the token endpoint
		user            func(*session.User)
		department      string
		groups          []string
	}{
		"nothing changed":       {token: claims{"department": "art", "groups": []string{"players"}}, department: "art", groups: []string{"players"}},
		"other values":          {token: claims{"department": "games", "groups": []string{"staff"}}, department: "games", groups: []string{"staff"}},
		"nothing any more":      {department: "", groups: nil},
		"without an ID token":   {userinfo: claims{"department": "games", "groups": []string{"staff"}}, answer: claims{"id_token": nil}, department: "games", groups: []string{"staff"}},
		"another user's":        {token: claims{"sub": "bob", "department": "games"}, department: "art", groups: []string{"players"}},
		"another user's, there": {userinfo: claims{"sub": "bob", "department": "games"}, answer: claims{"id_token": nil}, department: "art", groups: []string{"players"}},
		"a damaged ID token":    {answer: claims{"id_token": "x.y.z"}, department: "art", groups: []string{"players"}},
		"a linked user":         {token: claims{"department": "games", "groups": []string{"staff"}}, user: func(u *session.User) { u.Linked = "local" }, department: "games", groups: []string{"players"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := providertest.New(t)
			f.Claims, f.Userinfo, f.Token = c.token, c.userinfo, c.answer
			u := before
			if c.user != nil {
				c.user(&u)
			}
			next, now, err := named(f, "department").RenewUser(t.Context(), "a token", u)
			if err != nil || next == "" {
				t.Fatal(next, err)
			}
			if value, _ := now.Claims.First("department"); value != c.department || !slices.Equal(now.Groups, c.groups) {
				t.Errorf("department %q, groups %q", value, now.Groups)
			}
			if now.Subject != before.Subject || now.Name != before.Name {
				t.Errorf("it is another user: %+v", now)
			}
		})
	}
}
