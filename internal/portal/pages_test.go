package portal_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
)

func TestWhoIsSignedInIsToldSoAndMaySwitch(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	w := b.open(portal.AccountPath)
	want(t, w, http.StatusSeeOther)
	if got := w.Header().Get("Location"); got != portal.SignInPath {
		t.Errorf("nobody is led to %q", got)
	}
	b.try("demo", "demo password")
	for path, texts := range map[string][]string{
		portal.AccountPath: {"demo@example.com", `href="/sso/sign_in?switch=1"`, `action="/sso/sign_out"`},
		portal.SignInPath:  {"demo@example.com", `href="/sso/sign_in?switch=1"`},
		portal.RedirectToSignIn("", authorization): {
			"demo@example.com", "Continue to", "Demo game", `href="/api/oauth2/auth?` + strings.ReplaceAll(authorization, "&", "&amp;"), "switch=1",
		},
	} {
		w := b.open(path)
		want(t, w, http.StatusOK)
		wantText(t, w, texts...)
	}
}

func TestClass22OnlyAFormOfThisOriginSignsOut(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	want(t, b.do("POST", portal.SignOutPath, nil, sameOrigin...), http.StatusOK) // nobody: nothing to do
	b.try("demo", "demo password")
	wantText(t, b.open(portal.SignOutPath), "Sign out?", "demo@example.com", `action="/sso/sign_out"`)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "http://localhost:8081"},
	} {
		want(t, b.do("POST", portal.SignOutPath, nil, headers...), http.StatusForbidden)
	}
	token := b.session()
	if f.who(token) != "demo" {
		t.Fatal("another site signed the user out")
	}
	wantText(t, b.do("POST", portal.SignOutPath, nil, sameOrigin...), "signed out")
	if b.session() != "" || f.who(token) != "" {
		t.Fatal("the session goes on")
	}
}

func TestAfterSigningOutTheLinkBackIsARegisteredSite(t *testing.T) {
	f := newFixture(t)
	for query, link := range map[string]string{
		"": portal.SignInPath,
		"client_id=1&redirect_uri=" + url.QueryEscape("https://game.example/oauth2/callback"): "https://game.example/",
		"client_id=1&redirect_uri=" + url.QueryEscape("https://evil.example/"):                portal.SignInPath,
		"client_id=2&redirect_uri=" + url.QueryEscape("https://game.example/oauth2/callback"): portal.SignInPath,
		"client_id=1&redirect_uri=javascript:alert(1)":                                        portal.SignInPath,
	} {
		wantText(t, f.visitor().do("POST", portal.SignOutPath+"?"+query, nil, sameOrigin...), `href="`+link+`"`)
	}
}

func TestClass16ARemovedUserIsSignedInNoMore(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	b.try("demo", "demo password")
	token, known := b.session(), f.hosted.Server.Users
	f.hosted.Server.Users = methods.List{f.accounts()}
	want(t, b.open(portal.AccountPath), http.StatusSeeOther)
	b.form(b.open(portal.SignInPath))
	want(t, b.do("POST", portal.SignOutPath, nil, sameOrigin...), http.StatusOK)
	f.hosted.Server.Users = known // the user comes back
	if f.who(token) != "" {
		t.Fatal("the session outlived its sign-out")
	}
}

// The store may fail at any of its calls. Nobody is told to be signed in or out
// who is not, no session is lost, and the next attempt works.
func TestAnOutageAtAnyStepLosesNothing(t *testing.T) {
	for name, act := range map[string]func(*visitor, form) int{
		"signing in":  func(b *visitor, in form) int { return b.submit(in, "ann", "ann password").Code },
		"signing out": func(b *visitor, _ form) int { return b.do("POST", portal.SignOutPath, nil, sameOrigin...).Code },
		"the account": func(b *visitor, _ form) int { return b.open(portal.AccountPath).Code },
	} {
		t.Run(name, func(t *testing.T) {
			failed := false
			for step := 1; ; step++ {
				f := newFixture(t)
				b := f.visitor()
				want(t, b.try("demo", "demo password"), http.StatusOK)
				before := b.session()
				in := b.form(b.open(portal.SignInPath + "?switch=1"))
				count := f.store.FailCalls(func(call int) bool { return call >= step })
				status := act(b, in)
				reached := count() >= step
				f.store.Down(false)
				if !reached {
					break // it takes fewer calls
				}
				failed = true
				if status != http.StatusServiceUnavailable {
					continue // what failed was no more than the extension of a session
				}
				if b.session() != before {
					t.Errorf("step %d: the cookie is gone", step)
				}
				want(t, b.try("ann", "ann password"), http.StatusOK)
				if f.who(b.session()) != "Ann" {
					t.Errorf("step %d: afterwards nobody can sign in", step)
				}
			}
			if !failed && name != "the account" { // which is read from memory
				t.Fatal("nothing was tried")
			}
		})
	}
}

func TestAnUnknownTokenDuringAnOutageIsNoSignOut(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{portal.SignInPath, portal.AccountPath, portal.SignOutPath} {
		b := f.visitor()
		b.cookies[f.hosted.Session.Name] = strings.Repeat("A", 43)
		f.store.Down(true)
		w := b.open(path)
		f.store.Down(false)
		want(t, w, http.StatusServiceUnavailable)
		wantText(t, w, "You have not been signed out")
		if w.Header().Get("Retry-After") == "" || b.session() == "" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
	}
}

func TestClass30NoPageCanBeFramed(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	pages := []string{portal.SignInPath, portal.RedirectToSignIn("", authorization), portal.SignOutPath, portal.WidgetPath, portal.SignInPath + "?client_id=x"}
	for range 2 {
		for _, path := range pages {
			h := b.open(path).Header()
			csp := h.Get("Content-Security-Policy")
			if !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", path, h)
			}
		}
		b.try("demo", "demo password")
		pages = append(pages, portal.AccountPath)
	}
}

// A code is issued by then, so what an authorization request may carry has to
// fit, whatever becomes longer where it is escaped.
func TestTheWidgetTakesTheLongestRequest(t *testing.T) {
	f := newFixture(t)
	a, refusal := f.hosted.Requests[0].Check(t.Context(), authorization)
	if refusal != nil {
		t.Fatal(refusal)
	}
	const longest = 16 << 10
	for _, c := range []string{"s", " ", "<", "&", `"`, `\`, "%", "é", "状", "🔑"} {
		a.State = strings.Repeat(c, longest/len(c))
		a.RedirectURI = "https://game.example/"
		a.RedirectURI += strings.Repeat("&", longest-len(a.RedirectURI))
		location, err := f.hosted.Widget(t.Context(), a, strings.Repeat("c", 43))
		if err != nil {
			t.Errorf("%q: %v", c, err)
			continue
		}
		w := f.visitor().open(strings.TrimPrefix(location, issuer))
		want(t, w, http.StatusOK)
		body := html.UnescapeString(w.Body.String())
		if !strings.Contains(body, `data-callback="`+a.Callback(strings.Repeat("c", 43))+`"`) || !strings.Contains(body, `data-state="`+a.State+`"`) {
			t.Errorf("%q: the page has another callback or state: %.2000s", c, body)
		}
	}
}

func TestTheWidgetTellsTheRegisteredOriginAndNobodyElse(t *testing.T) {
	f := newFixture(t)
	a, refusal := f.hosted.Requests[0].Check(t.Context(), authorization)
	if refusal != nil {
		t.Fatal(refusal)
	}
	location, err := f.hosted.Widget(t.Context(), a, "code1")
	if err != nil {
		t.Fatal(err)
	}
	target, ok := strings.CutPrefix(location, issuer)
	if !ok {
		t.Fatalf("the widget is at %q", location)
	}
	w := f.visitor().open(target)
	want(t, w, http.StatusOK)
	wantText(t, w, `data-origin="https://game.example"`, `data-callback="https://game.example/oauth2/callback?code=code1&amp;state=12345678"`)

	for name, target := range map[string]string{
		"tampered":               changed(target, 60),
		"cut short":              target[:len(target)-1],
		"missing":                portal.WidgetPath,
		"sealed for another use": portal.WidgetPath + "?w=" + f.visitorTransaction(),
	} {
		w := f.visitor().open(target)
		if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "game.example") {
			t.Errorf("%s: status %d: %s", name, w.Code, w.Body)
		}
	}
	f.clock.Advance(portal.WidgetLifetime)
	want(t, f.visitor().open(target), http.StatusOK)
	f.clock.Advance(time.Second)
	want(t, f.visitor().open(target), http.StatusBadRequest)

	a.Redirect = oauth.RedirectURI{URL: a.Redirect.URL, Loopback: true} // on whatever port: no origin
	location, err = f.hosted.Widget(t.Context(), a, "code1")
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, f.visitor().open(strings.TrimPrefix(location, issuer)), `data-origin=""`)
}

// changed is s with another character at i.
func changed(s string, i int) string {
	other := "A"
	if s[i] == 'A' {
		other = "B"
	}
	return s[:i] + other + s[i+1:]
}

func (f *fixture) visitorTransaction() string {
	b := f.visitor()
	return url.QueryEscape(b.form(b.open(portal.SignInPath)).transaction)
}

// Each is known as what they are, and by what they typed.
func TestClass18EightUsersOfABackendMayShareABrowser(t *testing.T) {
	f, own := newFixture(t), remotetest.NewBackend(t)
	f.use(own.Method("accounts", time.Minute))
	shared := f.visitor()
	answer := func(i int) { own.Says(http.StatusOK, fmt.Sprintf(`{"user":{"subject":"%d"}}`, i)) }
	for i := range 8 {
		answer(i)
		want(t, shared.try(names(8)[i], "right"), http.StatusOK)
	}
	own.Says(http.StatusUnauthorized, `{"user":{"subject":"0"}}`)
	f.guess("name 0", f.hosted.Limits.PerAccount/2)
	answer(0)
	want(t, f.visitor().try("name 0", "right"), http.StatusTooManyRequests)
	want(t, shared.try("name 0", "right"), http.StatusOK)
}

func TestSigningOutIsAskedForWhateverTheQueryHolds(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	want(t, b.try("demo", "demo password"), http.StatusOK)
	for _, query := range []string{"", "?client_id=1", "?%zz", "?a#%zz", "?a;b", "?\"><script>"} {
		w := b.open(portal.SignOutPath + query)
		want(t, w, http.StatusOK)
		wantText(t, w, `<form method="post" action="`+portal.SignOutPath)
	}
}

func TestAStoreThatIsDownSignsNobodyInAndCostsNothing(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	state := b.leave(b.open(portal.SignInPath), "acme")
	for failing := 1; failing <= 2; failing++ {
		f.store.FailCalls(func(call int) bool { return call >= failing })
		want(t, b.back("acme", state, "ann"), http.StatusServiceUnavailable)
	}
	f.store.Down(false)
	if b.session() != "" {
		t.Fatal("a user is signed in")
	}
	want(t, b.back("acme", state, "ann"), http.StatusOK)
}
