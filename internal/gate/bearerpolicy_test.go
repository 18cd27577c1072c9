package gate

import (
	"net/http"
	"strings"
	"testing"
)

func TestWhatATokenIsWorthByThePolicy(t *testing.T) {
	anyone, staff := Policy{Bearer: true}, Policy{Bearer: true, Groups: []string{"staff"}}
	backends := Policy{Bearer: true, Groups: []string{"staff"}, Clients: []string{"3", "4"}}
	scripts := Policy{Bearer: true, Preflight: true}
	for name, test := range map[string]struct {
		policy Policy
		facts  facts
		want   verdict
	}{
		"a bad token":                             {anyone, facts{BadToken: true}, refuseToken},
		"a bad token for a page":                  {anyone, facts{BadToken: true, Page: true}, refuseToken},
		"a bad token with a form":                 {anyone, facts{BadToken: true, Form: true}, refuseToken},
		"a bad token on the fail_auth_url":        {anyone, facts{BadToken: true, FailPage: true}, passAnonymous},
		"a bad token, and the store is down":      {anyone, facts{BadToken: true, Unavailable: true}, unavailable},
		"a bad token in what looks a preflight":   {scripts, facts{BadToken: true, Preflight: true}, refuseToken},
		"a client":                                {anyone, facts{User: someone, Client: "3"}, forbid},
		"a client that is allowed":                {backends, facts{User: someone, Client: "4"}, forward},
		"a client that is not":                    {backends, facts{User: someone, Client: "34"}, forbid},
		"a client, whatever groups":               {staff, facts{User: in("staff"), Client: "3"}, forbid},
		"a client on the fail_auth_url":           {anyone, facts{User: someone, Client: "3", FailPage: true}, passAnonymous},
		"a user where clients are allowed":        {backends, facts{User: in("players")}, forbid},
		"a user whose group is a client's ID":     {backends, facts{User: in("3")}, forbid},
		"a preflight":                             {anyone, facts{Preflight: true}, refuse},
		"a preflight that is let through":         {scripts, facts{Preflight: true}, passAnonymous},
		"a preflight, and the store is down":      {scripts, facts{Preflight: true, Unavailable: true}, unavailable},
		"a preflight with a session":              {scripts, facts{Preflight: true, User: someone}, forward},
		"anything else where preflights may pass": {scripts, facts{}, refuse},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.policy.decide(test.facts); got != test.want {
				t.Fatalf("got verdict %d, expected %d", got, test.want)
			}
		})
	}
}

// A preflight gets no page, and no redirect, whatever it says it accepts.
func TestAPreflight(t *testing.T) {
	preflight := []string{"Origin", "https://www.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"}
	with := func(more ...string) []string { return append(append([]string{}, preflight...), more...) }
	for name, tt := range map[string]struct {
		method  string
		headers []string
		body    bool
		passes  bool
	}{
		"as browsers send it":                 {"OPTIONS", with("Sec-Fetch-Mode", "cors"), false, true},
		"that says it wants a page":           {"OPTIONS", with("Accept", "text/html"), false, true},
		"with forged headers":                 {"OPTIONS", with("X-SSO-User", "admin", "x_sso_client", "3"), false, true},
		"without an origin":                   {"OPTIONS", preflight[2:], false, false},
		"that asks for nothing":               {"OPTIONS", preflight[:2], false, false},
		"with a body":                         {"OPTIONS", preflight, true, false},
		"with another method":                 {"GET", preflight, false, false},
		"with a method in disguise":           {"OPTIONS", with("X-HTTP-Method-Override", "DELETE"), false, false},
		"with another method in disguise":     {"OPTIONS", with("X-Method-Override", "DELETE"), false, false},
		"with yet another method in disguise": {"OPTIONS", with("X-HTTP-Method", "DELETE"), false, false},
		"with credentials":                    {"OPTIONS", with("Authorization", "Basic eDp5"), false, false},
		"that upgrades":                       {"OPTIONS", with("Upgrade", "websocket"), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for _, allowed := range []bool{false, true} {
				f.gate.Policy.Preflight = allowed
				r := f.browser().request("/api")
				r.Method = tt.method
				if tt.body {
					r.ContentLength = -1
				}
				for i := 0; i < len(tt.headers); i += 2 {
					r.Header.Set(tt.headers[i], tt.headers[i+1])
				}
				f.called = 0
				w := f.serve(r)
				if !allowed || !tt.passes {
					wantStatus(t, w, http.StatusUnauthorized)
					f.untouched()
					continue
				}
				wantStatus(t, w, http.StatusOK)
				if got := identityOf(f.last.Header); f.called != 1 || len(got) != 0 {
					t.Errorf("the upstream got %v", got)
				}
			}
		})
	}
}

func TestATokenOfAnotherWayToSignInDoesNotSuffice(t *testing.T) {
	f := newFixture(t)
	token := f.tokens(f.browser().signIn(demo)).Access
	f.use(f.client("2"))
	f.client("2").Methods = []string{"acme"}
	w := f.call(bearer(token), navigation...)
	wantChallenge(t, w, http.StatusForbidden, "insufficient_scope")
	f.untouched()
	if !strings.Contains(w.Body.String(), "is not accepted here") {
		t.Error(w.Body)
	}
	f.client("2").Methods = []string{"acme", demo.Signin}
	wantStatus(t, f.call(bearer(token)), http.StatusOK)
}

func TestAnOutageIsNoFaultOfAToken(t *testing.T) {
	f := newFixture(t)
	known, unknown := f.tokens(f.browser().signIn(demo)).Access, f.tokens(f.browser().signIn(demo)).Access
	wantStatus(t, f.call(bearer(known)), http.StatusOK)
	f.store.FailWith(errUnforeseen)
	wantStatus(t, f.call(bearer(known)), http.StatusOK)
	w := f.call(bearer(unknown))
	wantStatus(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" || w.Header().Get("Www-Authenticate") != "" {
		t.Errorf("headers %v", w.Header())
	}
	f.untouched()

	// A cookie that may be anybody's session goes before a token.
	f.store.Down(false)
	r := f.browser().request("/")
	r.Header.Set("Cookie", f.gate.Sites[1].Cookie.Name+"="+strings.Repeat("A", 43))
	r.Header["Authorization"] = bearer(known)
	f.store.FailWith(errUnforeseen)
	f.called = 0
	wantStatus(t, f.serve(r), http.StatusServiceUnavailable)
	f.untouched()
}
