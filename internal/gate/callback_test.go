package gate

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

func TestSigningInLeadsToThePageFirstAskedForQueryIncluded(t *testing.T) {
	for _, origin := range []string{siteOrigin, httpsOrigin} {
		f := newFixture(t)
		b := f.browser()
		b.origin = origin
		b.signIn(demo)
		w := b.open("/world/7?a=b&a=c%2F%26&d")
		b.want(w, http.StatusFound)
		f.untouched()
		w = b.open(strings.TrimPrefix(b.portal(w.Header().Get("Location")), origin))
		b.want(w, http.StatusFound)
		if got := w.Header().Get("Location"); got != origin+"/world/7?a=b&a=c%2F%26&d" {
			t.Fatalf("came back to %q", got)
		}
		for _, c := range w.Result().Cookies() {
			if !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.Secure != (origin == httpsOrigin) || strings.HasPrefix(c.Name, "__Host-") != c.Secure {
				t.Errorf("cookie: %v", c)
			}
		}
		b.want(b.open("/world/7"), http.StatusOK)
		if got := f.last.Header.Get("X-SSO-User"); got != "demo" {
			t.Errorf("the upstream got X-SSO-User %q", got)
		}
	}
}

// A callback that this browser did not ask for redeems nothing, and begins the
// sign-in again.
func TestClass22ACallbackOfAnotherBrowserBeginsAgain(t *testing.T) {
	f := newFixture(t)
	attacker, victim := f.browser(), f.browser()
	attacker.signIn(demo)
	callback := ""
	for name, prepare := range map[string]func(){
		"a browser without the cookie":    func() {},
		"a browser with one of its own":   func() { victim.open("/") },
		"a browser with one that is none": func() { victim.keep(siteOrigin, f.gate.Sites[1].Binder.Name, "x") },
		"a browser with an empty one":     func() { victim.keep(siteOrigin, f.gate.Sites[1].Binder.Name, "") },
	} {
		t.Run(name, func(t *testing.T) {
			victim.cookies = map[string]map[string]string{}
			prepare()
			callback = attacker.portal(attacker.open("/").Header().Get("Location"))
			w := victim.open(callback)
			victim.want(w, http.StatusFound)
			if got := w.Header().Get("Location"); !strings.HasPrefix(got, portalOrigin+"/api/oauth2/auth?") {
				t.Fatalf("led to %q", got)
			}
			if _, in := victim.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]; in {
				t.Fatal("the browser was signed in as another user")
			}
		})
	}
	w := attacker.open(callback) // the code is spent
	attacker.want(attacker.open(attacker.portal(w.Header().Get("Location"))), http.StatusFound)
	attacker.want(attacker.do("GET", "/"), http.StatusOK)
}

func TestASignInThatGoesRoundInCirclesEndsAtTheThirdTurn(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(demo)
	location := b.open("/x?y").Header().Get("Location")
	for turn := 1; ; turn++ {
		delete(b.cookies, siteOrigin) // a browser that keeps no cookie
		w := b.open(b.portal(location))
		if w.Code == http.StatusFound && turn < 3 {
			location = w.Header().Get("Location")
			continue
		}
		b.want(w, http.StatusBadRequest)
		if turn != 3 || !strings.Contains(w.Body.String(), "Too many redirects") || !strings.Contains(w.Body.String(), `href="`+siteOrigin+`/x?y"`) {
			t.Fatalf("turn %d: %s", turn, w.Body)
		}
		return
	}
}

func TestTabsThatWereOpenedAtOnceAllFinish(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	locations := make([]string, 20)
	for i := range locations {
		delete(b.cookies, siteOrigin) // none of them has seen another's cookie yet
		locations[i] = b.open("/").Header().Get("Location")
	}
	b.signIn(demo)
	for _, location := range locations {
		w := b.open(b.portal(location))
		for range 2 {
			if next := w.Header().Get("Location"); next != siteOrigin+"/" {
				w = b.open(b.portal(next))
			}
		}
		if got := w.Header().Get("Location"); got != siteOrigin+"/" {
			t.Fatalf("a tab is still at %q", got)
		}
	}
	b.want(b.open("/"), http.StatusOK)
}

func TestCallbacksThatAreNoAnswerAreRendered(t *testing.T) {
	f := newFixture(t)
	other, err := f.gate.Keys.Seal(t.Context(), "widget", []byte(`{"c":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	notJSON, err := f.gate.Keys.Seal(t.Context(), stateLabel, []byte(`{`))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		query  func(code, state string) string
		status int
		spends bool
	}{
		"nothing":                {func(string, string) string { return "" }, 400, false},
		"no state":               {func(code, _ string) string { return "code=" + code }, 400, false},
		"an empty state":         {func(code, _ string) string { return "code=" + code + "&state=" }, 400, true},
		"two states":             {func(code, state string) string { return "code=" + code + "&state=" + state + "&state=" + state }, 400, false},
		"two codes":              {func(code, state string) string { return "code=" + code + "&code=x&state=" + state }, 400, false},
		"a tampered state":       {func(code, state string) string { return "code=" + code + "&state=" + changed(state, 20) }, 400, true},
		"a state cut short":      {func(code, state string) string { return "code=" + code + "&state=" + state[:len(state)-1] }, 400, true},
		"sealed for another use": {func(code, _ string) string { return "code=" + code + "&state=" + other }, 400, true},
		"an error": {func(_, state string) string {
			return "error=access_denied&error_description=%3Cscript%3E&state=" + state
		}, 400, false},
		"an error beside a code":  {func(code, state string) string { return "error=access_denied&code=" + code + "&state=" + state }, 400, false},
		"a query that is none":    {func(_, state string) string { return "code=%zz&state=" + state }, 400, false},
		"a semicolon":             {func(code, state string) string { return "a;b&code=" + code + "&state=" + state }, 400, false},
		"a state of a megabyte":   {func(code, _ string) string { return "code=" + code + "&state=" + strings.Repeat("A", 1<<20) }, 400, true},
		"a code that is none":     {func(_, state string) string { return "code=x&state=" + state }, 302, false},
		"no code":                 {func(_, state string) string { return "state=" + state }, 302, false},
		"a sealed value, no JSON": {func(code, _ string) string { return "code=" + code + "&state=" + notJSON }, 503, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := f.browser()
			b.signIn(demo)
			good := b.portal(b.open("/secret-path").Header().Get("Location"))
			q := parse(t, good).Query()
			code, state := q.Get("code"), q.Get("state")
			r := b.request("/oauth2/callback")
			r.URL.RawQuery = test.query(code, state)
			for i := 0; i < len(navigation); i += 2 {
				r.Header.Set(navigation[i], navigation[i+1])
			}
			w := f.serve(r)
			wantStatus(t, w, test.status)
			f.untouched()
			for _, secret := range []string{code, state, "<script>", "secret-path"} {
				if strings.Contains(w.Body.String(), secret) {
					t.Errorf("the page has %q in it", secret)
				}
			}
			for _, c := range w.Result().Cookies() {
				if c.Name == f.gate.Sites[1].Cookie.Name {
					t.Error("the browser was signed in")
				}
			}
			b.want(b.do("POST", good, navigation...), http.StatusMethodNotAllowed)
			b.want(b.do("HEAD", good, navigation...), http.StatusMethodNotAllowed)
			to := b.open(good).Header().Get("Location")
			if spent := strings.HasPrefix(to, portalOrigin+"/api/oauth2/auth?"); spent != test.spends || (!spent && to != siteOrigin+"/secret-path") {
				t.Fatalf("led to %q afterwards", to)
			}
		})
	}
}

func TestClass19AStateOfAnotherGateIsNotTaken(t *testing.T) {
	f := newFixture(t)
	second, _ := f.gate.Server.Clients.Get("2")
	b := f.browser()
	b.signIn(demo)
	callback := b.portal(b.open("/").Header().Get("Location"))

	f.use(second)
	b.want(b.open(callback), http.StatusBadRequest)
	first, _ := f.gate.Server.Clients.Get("1")
	f.use(first)
	b.cookies[httpsOrigin] = b.cookies[siteOrigin]
	b.origin = httpsOrigin
	b.want(b.open(callback), http.StatusBadRequest)
}

func TestAnExpiredStateBeginsAgain(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	location := b.open("/x").Header().Get("Location")
	f.clock.Advance(stateLifetime + 2*time.Second) // at the sign-in page
	b.signIn(demo)
	w := b.open(b.portal(location))
	b.want(w, http.StatusFound)
	w = b.open(b.portal(w.Header().Get("Location")))
	if got := w.Header().Get("Location"); got != siteOrigin+"/x" {
		t.Fatalf("led to %q", got)
	}
}

func TestTheBackButtonAndAReloadOfTheCallbackLeadOn(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(demo)
	callback := b.portal(b.open("/x").Header().Get("Location"))
	for range 3 {
		w := b.open(callback)
		if got := w.Header().Get("Location"); got != siteOrigin+"/x" {
			t.Fatalf("led to %q", got)
		}
	}
	b.want(b.open("/x"), http.StatusOK)
}

func TestClass15ASpentCodeSignsNobodyInAgain(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(demo)
	callback := b.portal(b.open("/x").Header().Get("Location"))
	b.want(b.open(callback), http.StatusFound)
	delete(b.cookies[siteOrigin], f.gate.Sites[1].Cookie.Name)
	w := b.open(callback)
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, portalOrigin+"/api/oauth2/auth?") {
		t.Fatalf("led to %q", got)
	}
	if _, in := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]; in {
		t.Fatal("a spent code began a session")
	}
}

func TestClass16AnEndedOrIdleSessionOrARemovedUserPassesNoMore(t *testing.T) {
	for name, end := range map[string]func(*fixture, *session.Session){
		"ended":       func(f *fixture, s *session.Session) { f.gate.Server.Sessions.End(f.t.Context(), s.Key()) },
		"idle":        func(f *fixture, _ *session.Session) { f.clock.Advance(25 * time.Hour) },
		"a user gone": func(f *fixture, _ *session.Session) { delete(f.users, demo.Subject) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.browser()
			s := b.enter(demo)
			b.want(b.do("GET", "/"), http.StatusOK)
			end(f, s)
			f.called = 0
			b.want(b.do("GET", "/"), http.StatusUnauthorized)
			b.want(b.open("/"), http.StatusFound)
			f.untouched()
		})
	}
}

func TestAnOutageSignsNobodyOut(t *testing.T) {
	for name, failure := range map[string]error{"the store is down": errDown, "something unforeseen": errUnforeseen} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.browser()
			s := b.signIn(demo)
			callback := b.portal(b.open("/").Header().Get("Location"))
			token, err := f.gate.Server.Sessions.BeginSite(t.Context(), s, "1", "another")
			if err != nil {
				t.Fatal(err)
			}
			check := func(w *httptest.ResponseRecorder) {
				t.Helper()
				b.want(w, http.StatusServiceUnavailable)
				if w.Header().Get("Retry-After") == "" {
					t.Error("without Retry-After")
				}
				if c := w.Header()["Set-Cookie"]; len(c) > 0 {
					t.Errorf("cookies: %q", c)
				}
			}
			b.keep(siteOrigin, f.gate.Sites[1].Cookie.Name, token.Encode())
			f.store.FailWith(failure)
			check(b.open("/"))
			check(b.do("GET", "/"))
			check(b.open(callback))
			check(b.open(SignOutPath))
			f.untouched()
			f.store.Down(false)
			b.want(b.open("/"), http.StatusOK)
		})
	}
}

func TestClass19CookiesCountOnlyWhereTheyBelong(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	second, _ := f.gate.Server.Clients.Get("2")
	other := NewSites(parse(t, portalOrigin), portalCookie(t), second)
	site, portal := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name], b.cookies[portalOrigin][portalCookie(t).Name]

	for name, test := range map[string]struct {
		host, cookie, value string
		gate                *Gate
	}{
		"a site session at the gate of another client":        {"localhost:8081", other[1].Cookie.Name, site, f.second(func(g *Gate) { g.Client, g.Sites = second, other })},
		"a site session on another origin of the client":      {"game.example", f.gate.Sites[1].Cookie.Name, site, f.gate},
		"the SSO session at a gate":                           {"localhost:8081", f.gate.Sites[1].Cookie.Name, portal, f.gate},
		"the SSO session at a gate, by its own name":          {"localhost:8081", portalCookie(t).Name, portal, f.gate},
		"a site session at the portal":                        {"localhost:8080", portalCookie(t).Name, site, f.gate},
		"a site session at the portal, by its own name":       {"localhost:8080", f.gate.Sites[1].Cookie.Name, site, f.gate},
		"a token in another spelling":                         {"localhost:8081", f.gate.Sites[1].Cookie.Name, site + "=", f.gate},
		"two that differ":                                     {"localhost:8081", f.gate.Sites[1].Cookie.Name, site + "; " + f.gate.Sites[1].Cookie.Name + "=" + strings.Repeat("A", 43), f.gate},
		"class 9: nothing":                                    {"localhost:8081", f.gate.Sites[1].Cookie.Name, "", f.gate},
		"class 24: a cookie of 100 kB":                        {"localhost:8081", f.gate.Sites[1].Cookie.Name, strings.Repeat("A", 100<<10), f.gate},
		"class 24: a hundred cookies":                         {"localhost:8081", f.gate.Sites[1].Cookie.Name, strings.Repeat("A; "+f.gate.Sites[1].Cookie.Name+"=", 100), f.gate},
		"class 24: control characters":                        {"localhost:8081", f.gate.Sites[1].Cookie.Name, "\x00\x01\xff", f.gate},
		"a site session where a cookie of https is asked for": {"game.example", strings.TrimPrefix(f.gate.Sites[2].Cookie.Name, "__Host-"), site, f.gate},
	} {
		t.Run(name, func(t *testing.T) {
			f.called = 0
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.Host, r.Header = test.host, http.Header{"Cookie": {test.cookie + "=" + test.value}}
			wantStatus(t, f.serve(r, test.gate), http.StatusUnauthorized)
			f.untouched()
		})
	}
}

func TestWhatTheGateAsksOfThePortal(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	w := f.browser().open("/")
	u := parse(t, w.Header().Get("Location"))
	q := u.Query()
	want := url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {siteOrigin + "/oauth2/callback"}, "scope": {"email"}, "audience": {"game"},
		"code_challenge_method": {"S256"}, "fail_auth_url": {siteOrigin + "/signed-out"},
		"code_challenge": q["code_challenge"], "state": q["state"],
	}
	if got := q.Encode(); got != want.Encode() {
		t.Fatalf("asked for\n%s, expected\n%s", got, want.Encode())
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	if w.Body.Len() != 0 {
		t.Errorf("beside the redirect: %q", w.Body)
	}
	if q := parse(t, f.browser().open(SignInPath+"?switch=1").Header().Get("Location")); q.Path != "/sso/sign_in" || q.Query().Get("switch") != "1" || q.Query().Has("fail_auth_url") {
		t.Errorf("switching leads to %s", q)
	}
}

// changed is s with another character at i.
func changed(s string, i int) string {
	other := "A"
	if s[i] == 'A' {
		other = "B"
	}
	return s[:i] + other + s[i+1:]
}
