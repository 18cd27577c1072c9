package portal_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

func TestAProviderSignsInForWhateverThePageWasFor(t *testing.T) {
	f := newOutsideFixture(t)
	sealed, err := f.hosted.Keys.Seal(t.Context(), portal.ReturnLabel, []byte("/x?y=z"))
	if err != nil {
		t.Fatal(err)
	}
	for page, to := range map[string]string{
		portal.SignInPath:                          portal.AccountPath,
		portal.ReturnTo("", sealed):                issuer + "/x?y=z",
		portal.RedirectToSignIn("", authorization): "/api/oauth2/auth?" + authorization,
		// The user was asked: to be asked again would go on for ever.
		openID: "/oauth2/authorize?client_id=1&x=%20y",
	} {
		b := f.visitor()
		w := b.back("acme", b.leave(b.open(page), "acme"), "ann")
		want(t, w, http.StatusOK)
		if got := leadsTo(w); got != to {
			t.Errorf("%s led to %q, expected %q", page, got, to)
		}
		if who := f.who(b.session()); who != "ann.acme" {
			t.Errorf("%q is signed in", who)
		}
	}
	d := f.acme.left[0]
	if d.RedirectURI != issuer+"/sso/callback/acme" || len(d.Nonce) < 26 || len(d.Verifier) < 43 || d.Nonce == f.acme.left[1].Nonce || d.Verifier == f.acme.left[1].Verifier {
		t.Errorf("left with %+v", d)
	}
	for _, secret := range []string{d.Nonce, d.Verifier} {
		if strings.Contains(d.State, secret) {
			t.Error("the state shows it")
		}
	}
}

func TestThePageShowsTheAllowedMethods(t *testing.T) {
	for name, c := range map[string]struct {
		local   bool // is configured
		methods []string
		socials bool // are left out
		form    bool
		buttons int
		away    bool // straight to acme
	}{
		"all":                                     {local: true, form: true, buttons: 2},
		"all but socials":                         {local: true, socials: true, form: true},
		"only the form":                           {local: true, methods: []string{"local"}, form: true},
		"one provider, and the form":              {local: true, methods: []string{"local", "acme"}, form: true, buttons: 1},
		"one provider":                            {local: true, methods: []string{"acme"}, away: true},
		"one provider, and no socials":            {local: true, methods: []string{"acme"}, socials: true, away: true},
		"two providers":                           {methods: []string{"acme", "umbrella"}, buttons: 2},
		"no local accounts":                       {buttons: 2},
		"no local accounts, and no socials":       {socials: true, buttons: 2},
		"no local accounts, of which one counts":  {methods: []string{"acme", "local"}, away: true},
		"none of the methods that there are":      {local: true, methods: []string{"gone"}},
		"none that are there, without local ones": {methods: []string{"local"}},
	} {
		f := newOutsideFixture(t)
		if !c.local {
			f.use(f.acme, f.umbrella)
		}
		f.asks.Methods, f.asks.Presentation.DisableSocials = c.methods, c.socials
		b := f.visitor()
		w := b.open(openID)
		if c.away {
			b.away(w)
			continue
		}
		form, buttons := strings.Contains(w.Body.String(), `type="password"`), len(links(w, portal.StartPrefix))
		if form != c.form || buttons != c.buttons || w.Header().Get("Location") != "" {
			t.Errorf("%s: form %v, %d buttons, status %d: %s", name, form, buttons, w.Code, w.Body)
		}
		if !c.form && c.buttons == 0 {
			want(t, w, http.StatusForbidden)
			wantText(t, w, "You cannot sign in here")
		}
	}
}

// A page is no wall: what it does not show is refused all the same.
func TestAMethodThatIsNotAllowedIsRefused(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	page := b.open(openID)
	form, state := b.form(page), b.leave(page, "umbrella")
	f.asks.Methods = []string{"acme"}
	w := b.submit(form, "demo", "demo password")
	want(t, w, http.StatusBadRequest)
	wantText(t, w, "You cannot sign in this way")
	for _, w := range []string{links(page, portal.StartPrefix+"umbrella")[0], portal.CallbackPrefix + "umbrella?code=ann&state=" + state} {
		w := b.open(w)
		want(t, w, http.StatusNotFound)
		wantText(t, w, "You cannot sign in this way")
	}
	if b.session() != "" {
		t.Error("a user is signed in")
	}
}

// Classes 15, 19 and 22: whatever comes back that was not begun by this very
// browser, for this method, just now and once, signs nobody in.
func TestClass22OnlyTheAnswerToThisBrowserSignsIn(t *testing.T) {
	f := newOutsideFixture(t)
	b, other := f.visitor(), f.visitor()
	state := b.leave(b.open(openID), "acme")
	others := other.leave(other.open(openID), "acme")
	form := b.form(b.open(openID)).transaction
	for name, c := range map[string]struct {
		query, text string
		status      int
	}{
		"another browser's state":   {"code=ann&state=" + others, "begun in another browser", http.StatusBadRequest},
		"no state":                  {"code=ann", "does not belong to a sign-in that was begun here", http.StatusBadRequest},
		"an empty state":            {"code=ann&state=", "does not belong to a sign-in that was begun here", http.StatusBadRequest},
		"a state that is none":      {"code=ann&state=" + state[1:], "does not belong to a sign-in that was begun here", http.StatusBadRequest},
		"two states":                {"code=ann&state=" + state + "&state=" + state, "does not belong to a sign-in that was begun here", http.StatusBadRequest},
		"the transaction of a form": {"code=ann&state=" + form, "does not belong to a sign-in that was begun here", http.StatusBadRequest},
		"a state without end":       {"code=ann&state=" + strings.Repeat("A", 1<<20), "does not belong to a sign-in that was begun here", http.StatusBadRequest},
		"a query that is none":      {"code=%zz&state=" + state, "was damaged or changed on its way", http.StatusBadRequest},
	} {
		w := b.open(portal.CallbackPrefix + "acme?" + c.query)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || !strings.Contains(w.Body.String(), "Start again") {
			t.Errorf("%s: status %d: %s", name, w.Code, w.Body)
		}
	}
	w := b.back("umbrella", state, "ann")
	want(t, w, http.StatusBadRequest)
	wantText(t, w, "belongs to another sign-in method", `href="/sso/sign_in/oauth2?client_id=1`)
	want(t, b.back("gone", state, "ann"), http.StatusBadRequest)
	if b.session() != "" {
		t.Fatal("a user is signed in")
	}
	cookies := b.cookies
	b.cookies = map[string]string{}
	w = b.back("acme", state, "ann")
	want(t, w, http.StatusBadRequest)
	wantText(t, w, "Your browser blocks cookies")
	b.cookies = cookies

	w = b.back("acme", state, "ann") // nothing of the above used it up
	want(t, w, http.StatusOK)
	first := b.session()
	ended := f.acme.ended
	w = b.back("acme", state, "bob")
	if f.acme.ended != ended {
		t.Error("an answer that was used is taken to the provider")
	}
	want(t, w, http.StatusConflict)
	wantText(t, w, "finished before", `href="/oauth2/authorize?client_id=1&amp;x=%20y"`)
	if b.session() != first || f.who(first) != "ann.acme" {
		t.Error("a second answer signed a user in")
	}
}

// Of two tabs with one answer, one signs in.
func TestClass22AnAnswerIsUsedOnceAlsoAtTheSameMoment(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	state := b.leave(b.open(portal.SignInPath), "acme")
	f.acme.meanwhile = func() { want(t, b.back("acme", state, "ann"), http.StatusOK) }
	want(t, b.back("acme", state, "bob"), http.StatusConflict)
	if who := f.who(b.session()); who != "ann.acme" {
		t.Errorf("%q is signed in", who)
	}
}

// A session that does not count, and is not replaced, must not send the browser
// to and fro between the only provider and the request.
func TestWithASessionTheOnlyProviderIsNotGoneToByItself(t *testing.T) {
	f := newOutsideFixture(t)
	f.use(f.acme)
	b := f.visitor()
	want(t, b.back("acme", b.away(b.open(openID)), "ann"), http.StatusOK)
	f.clock.Advance(time.Minute)
	f.asks.AuthAfter = f.clock.Now()
	for range 2 {
		w := b.open(openID)
		want(t, w, http.StatusOK)
		wantText(t, w, "asks you to sign in again", "Continue with ACME")
	}
}

// The name of a user at a provider is no user name here.
func TestTheNameOfAProvidersUserIsNotFilledIn(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	want(t, b.back("acme", b.leave(b.open(openID), "acme"), "ann"), http.StatusOK)
	f.clock.Advance(time.Minute)
	f.asks.AuthAfter = f.clock.Now()
	wantText(t, b.open(openID), "asks you to sign in again", `name="username" type="text" value=""`)
}

func TestClass15AProviderBeginsANewSession(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	planted := strings.Repeat("A", 43)
	b.cookies[f.hosted.Session.Name] = planted
	want(t, b.back("acme", b.leave(b.open(portal.SignInPath), "acme"), "ann"), http.StatusOK)
	first := b.session()
	if first == planted || f.who(first) != "ann.acme" {
		t.Fatalf("%q is signed in", f.who(first))
	}
	want(t, b.back("umbrella", b.leave(b.open(portal.SignInPath+"?switch=1"), "umbrella"), "bob"), http.StatusOK)
	if f.who(first) != "" || f.who(b.session()) != "bob.other" {
		t.Error("the session from before lives on")
	}
	if !f.umbrella.left[0].SelectAccount || f.acme.left[0].SelectAccount {
		t.Error("the provider does not hear that another account is wanted")
	}
}

// A hostile page sends a browser, by a button of its own sign-in page, to a
// provider that asks nobody: that replaces no session.
func TestClass22NobodyIsSwitchedToAnotherAccountUnasked(t *testing.T) {
	f := newOutsideFixture(t)
	victim, attacker := f.visitor(), f.visitor()
	if victim.try("demo", "demo password"); f.who(victim.session()) != "demo" {
		t.Fatal("nobody is signed in")
	}
	for _, page := range []string{portal.SignInPath, portal.SignInPath + "?switch=1", openID} {
		button := links(attacker.open(page), portal.StartPrefix+"umbrella?")[0]
		w := victim.back("umbrella", victim.away(victim.open(button)), "bob")
		want(t, w, http.StatusConflict)
		wantText(t, w, "You are signed in with another account", "bob@other.example", "demo@")
		if who := f.who(victim.session()); who != "demo" {
			t.Fatalf("%s: %q is signed in", page, who)
		}
		stay := links(w, strings.Split(page, "?")[0])
		if len(stay) != 1 || !strings.Contains(w.Body.String(), "Stay signed in as demo@") {
			t.Fatalf("%s: no link to stay: %s", page, w.Body)
		}
		wantText(t, victim.open(stay[0]), "You’re signed in")
		// A user who wants to switch can do so.
		switched := links(w, portal.StartPrefix+"umbrella?")
		if len(switched) != 1 {
			t.Fatalf("%s: no link to switch: %s", page, w.Body)
		}
		again := *victim
		want(t, again.back("umbrella", again.away(again.open(switched[0])), "bob"), http.StatusOK)
		if who := f.who(again.session()); who != "bob.other" {
			t.Errorf("%s: %q is signed in after the switch", page, who)
		}
		victim = f.visitor()
		victim.try("demo", "demo password")
	}
	// The same person signs in again without a question.
	b := f.visitor()
	for range 2 {
		button := links(b.open(portal.SignInPath+"?switch=1"), portal.StartPrefix+"acme?")[0]
		want(t, b.back("acme", b.away(b.open(button)), "ann"), http.StatusOK)
	}
	button := links(attacker.open(portal.SignInPath), portal.StartPrefix+"acme?")[0]
	want(t, b.back("acme", b.away(b.open(button)), "ann"), http.StatusOK)
}

func TestAStateGrowsOld(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	page := b.open(openID)
	state := b.leave(page, "acme")
	f.clock.Advance(portal.TransactionLifetime + time.Second)
	w := b.back("acme", state, "ann")
	want(t, w, http.StatusBadRequest)
	wantText(t, w, "Signing in took too long")
	w = b.open(links(page, portal.StartPrefix+"acme")[0])
	want(t, w, http.StatusBadRequest)
	wantText(t, w, "open for too long")
	// A link of the License API may be over before that.
	state = b.leave(b.open(openID), "acme")
	f.refusal = &oauth.Error{Kind: oauth.LinkSpent, Description: "x"}
	w = b.back("acme", state, "ann")
	want(t, w, http.StatusGone)
	wantText(t, w, "Start again in the application")
	if b.session() != "" {
		t.Error("a user is signed in")
	}
}

func TestAStateHasABoundAndThePageSaysSo(t *testing.T) {
	f := newOutsideFixture(t)
	for filling, status := range map[int]int{2000: http.StatusSeeOther, 6000: http.StatusRequestURITooLong} {
		b := f.visitor()
		w := b.open(links(b.open(portal.RedirectToSignIn("", authorization)+"&x="+strings.Repeat("x", filling)), portal.StartPrefix+"acme")[0])
		want(t, w, status)
		if len(w.Header().Get("Location")) > portal.MaxState+100 {
			t.Errorf("leads to an address of %d bytes", len(w.Header().Get("Location")))
		}
	}
	if len(f.acme.left) != 1 {
		t.Errorf("%d left", len(f.acme.left))
	}
}

func TestWhoIsExpectedIsFilledIn(t *testing.T) {
	f := newOutsideFixture(t)
	for hint, shown := range map[string]string{"ann@acme.example": "ann@acme.example", "a\nb": "", strings.Repeat("x", 999): ""} {
		f.asks.LoginHint, f.acme.left = hint, nil
		b := f.visitor()
		w := b.open(openID)
		wantText(t, w, `name="username" type="text" value="`+shown+`"`)
		b.leave(w, "acme")
		if got := f.acme.left[0].LoginHint; got != shown {
			t.Errorf("%q is told to the provider", got)
		}
	}
}

// Class 21 is in it: what a provider says is text.
func TestWhatGoesWrongElsewhereIsSaidInWords(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		texts  []string
	}{
		"cancelled": {signin.ErrCancelled, http.StatusForbidden, []string{"You were not signed in", "was cancelled", "Try again"}},
		"down":      {&signin.DownError{RetryAfter: 8 * time.Second, Cause: errors.New("<b>secret")}, http.StatusServiceUnavailable, []string{"ACME does not answer", "tries again by itself in a few seconds"}},
		"refused":   {&signin.RefusedError{Code: "<b>"}, http.StatusBadGateway, []string{"does not work", "Reference: &lt;b&gt;"}},
		"wrong":     {signin.ErrAnswer, http.StatusBadGateway, []string{"cannot be used", "Try again"}},
		"not again": {signin.ErrNotReauthenticated, http.StatusForbidden, []string{"Please sign in again", "Sign out there"}},
		"busy":      {signin.ErrBusy, http.StatusServiceUnavailable, []string{"Many people are signing in"}},
		"our fault": {errors.New("<b>secret"), http.StatusServiceUnavailable, []string{"Just a moment"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newOutsideFixture(t)
			f.use(f.acme) // also a page, and no redirect loop
			b := f.visitor()
			state := b.away(b.open(openID))
			f.acme.endErr = c.err
			w := b.back("acme", state, "ann")
			want(t, w, c.status)
			wantText(t, w, c.texts...)
			f.acme.startErr = c.err
			w = b.open(openID)
			want(t, w, c.status)
			wantText(t, w, c.texts...)
			if b.session() != "" || strings.Contains(w.Body.String(), "<b>") || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Location") != "" {
				t.Errorf("%v: %s", w.Header(), w.Body)
			}
			// The answer was not used up.
			f.acme.endErr, f.acme.startErr = nil, nil
			want(t, b.back("acme", state, "ann"), http.StatusOK)
		})
	}
}

// Class 19: a provider may call its users what it likes, but not what a user of
// this configuration is called.
func TestClass19NobodyElsewhereHasTheNameOfALocalUser(t *testing.T) {
	f := newOutsideFixture(t)
	for name, c := range map[string]struct{ user, email, want string }{
		"a name of its own":           {"zoe", "", "zoe"},
		"the name of a local user":    {"demo", "zoe@acme.example", "zoe@acme.example"},
		"in other letters":            {"DEMO", "zoe@acme.example", "zoe@acme.example"},
		"without an address":          {"demo", "", "s-1"},
		"the address of a local user": {"demo@example.com", "demo@example.com", "s-1"},
	} {
		f.acme.users["x"] = session.User{Subject: "s-1", Name: c.user, Email: c.email, Signin: "local"}
		b := f.visitor()
		want(t, b.back("acme", b.leave(b.open(portal.SignInPath), "acme"), "x"), http.StatusOK)
		in, err := f.hosted.Server.SignedIn(t.Context(), b.session())
		if err != nil || in.User.Name != c.want || in.User.Signin != "acme" {
			t.Errorf("%s: %+v, %v", name, in.User, err)
		}
	}
}

func TestASessionEndsWithItsMethod(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	want(t, b.back("acme", b.leave(b.open(portal.SignInPath), "acme"), "ann"), http.StatusOK)
	f.use(f.local, f.umbrella)
	if who := f.who(b.session()); who != "" {
		t.Errorf("%q is signed in by a method that is gone", who)
	}
}
