package gate

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// follow follows redirects from a page, over the portal, until an answer is none.
func (b *browser) follow(path string) (code int, body string) {
	b.f.t.Helper()
	for range 10 {
		w := b.open(path)
		to := w.Header().Get("Location")
		if to == "" {
			return w.Code, w.Body.String()
		}
		if strings.HasPrefix(to, portalOrigin) {
			to = siteOrigin + b.portal(to)
		}
		path = strings.TrimPrefix(to, siteOrigin)
	}
	b.f.t.Fatal("too many redirects")
	return 0, ""
}

func TestAUserWhoSignedInTooLongAgoSignsInAgain(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.MaxAge = time.Hour
	b := f.browser()
	b.enter(demo)
	for _, step := range []struct {
		after time.Duration
		asked int
	}{{0, 0}, {59 * time.Minute, 0}, {2 * time.Minute, 1}, {59 * time.Minute, 1}, {time.Hour, 2}} {
		f.clock.Advance(step.after)
		if code, body := b.follow("/game?level=3"); code != http.StatusOK || body != "the upstream" {
			t.Fatalf("status %d: %s", code, body)
		}
		if b.asked != step.asked {
			t.Errorf("asked %d times, want %d", b.asked, step.asked)
		}
	}
}

// What cannot follow a redirect gets an error of RFC 9470.
func TestAScriptOfAnOldSessionGetsAChallenge(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.MaxAge = time.Hour
	b := f.browser()
	b.enter(demo)
	f.clock.Advance(61 * time.Minute)
	before := f.called
	w := b.do("GET", "/api", "Sec-Fetch-Mode", "cors", "Accept", "*/*")
	challenge := w.Header().Get("Www-Authenticate")
	if w.Code != http.StatusUnauthorized || !strings.Contains(challenge, `error="insufficient_user_authentication"`) || !strings.Contains(challenge, `max_age="3600"`) {
		t.Errorf("status %d, challenge %s", w.Code, challenge)
	}
	if f.called != before {
		t.Error("the request reached the upstream")
	}
	_, address, _ := strings.Cut(w.Body.String(), `"login_url":"`)
	address, _, _ = strings.Cut(address, `"`)
	if code, body := b.follow(strings.TrimPrefix(address, siteOrigin) + "&return=%2Fback"); code != http.StatusOK || body != "the upstream" || b.asked != 1 {
		t.Errorf("login_url %q leads to %d: %s, asked %d times", address, code, body, b.asked)
	}
}

// The form of an old session is kept in the browser, and sent after the sign-in.
func TestAFormOfAnOldSessionIsKept(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.MaxAge = time.Hour
	b := f.browser()
	b.enter(demo)
	f.clock.Advance(61 * time.Minute)
	before := f.called
	r := b.request("/contact")
	r.Method, r.Body = "POST", http.NoBody
	for i := 0; i < len(navigation); i += 2 {
		r.Header.Set(navigation[i], navigation[i+1])
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := f.serve(r)
	if f.called != before {
		t.Fatal("the form reached the upstream")
	}
	_, address, found := strings.Cut(w.Body.String(), SendPath+"?")
	address, _, _ = strings.Cut(address, `"`)
	if !found || !strings.Contains(address, "auth_after=") {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	code, body := b.follow(SendPath + "?" + strings.ReplaceAll(address, "&amp;", "&"))
	if code != http.StatusOK || !strings.Contains(body, "Sending") || b.asked != 1 {
		t.Errorf("status %d, asked %d times: %s", code, b.asked, body)
	}
}

// Two gates of one site do not send a user back and forth.
func TestGatesWithDifferentAgesAskOnce(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.MaxAge = 24 * time.Hour
	short := f.second(func(g *Gate) { g.Policy.MaxAge = ShortestMaxAge })
	b := f.browser()
	b.gates = []*Gate{f.gate, short}
	b.enter(demo)
	f.clock.Advance(12 * time.Hour)
	if code, body := b.follow("/"); code != http.StatusOK || b.asked != 1 {
		t.Errorf("status %d, asked %d times: %s", code, b.asked, body)
	}
}

// A portal that does not ask again, or a provider that did not, leads to a page and not
// around in a circle.
func TestASignInThatWasNotFreshIsNoLoop(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.MaxAge = time.Hour
	b := f.browser()
	token, _, err := f.gate.Server.Sessions.Begin(t.Context(), session.SignIn{User: demo, AuthTime: session.UnknownAuthTime})
	if err != nil {
		t.Fatal(err)
	}
	b.keep(portalOrigin, portalCookie(t).Name, token.Encode())
	w := b.open("/")
	location, err := url.Parse(w.Header().Get("Location"))
	if err != nil || location.Query().Get("auth_after") == "" {
		t.Fatalf("%v, %v", location, err)
	}
	q := location.Query()
	q.Del("auth_after") // the portal forgets it
	w = b.open(b.portal(portalOrigin + "/api/oauth2/auth?" + q.Encode()))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "Please sign in again") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// An open connection was allowed when it began.
func TestOpenConnectionsOutliveMaxAge(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.MaxAge = time.Hour
	b := f.browser()
	b.enter(demo)
	pass, ok := f.gate.Handle(nil, b.request("/stream"))
	if !ok {
		t.Fatal("not passed")
	}
	defer pass.Release()
	f.clock.Advance(2 * time.Hour)
	if err := pass.Request.Context().Err(); err != nil {
		t.Error(err)
	}
}

// The page says who is signed in and how to switch, and not which rule it is.
func TestADeniedUserIsNotToldTheRule(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.Groups = []string{"players"}
	f.gate.Policy.Rules = Rules{Deny: []Rule{mustRule(t, KindUser, "", "demo")}, Require: []Rule{mustRule(t, KindEmailDomain, "", "secret.example")}, Local: []string{"local"}}
	b := f.browser()
	b.enter(demo)
	w := b.open("/")
	body := w.Body.String()
	if w.Code != http.StatusForbidden || !strings.Contains(body, "demo@example.com") || !strings.Contains(body, "switch=1") {
		t.Errorf("status %d: %s", w.Code, body)
	}
	for _, rule := range []string{"secret.example", "players", "deny"} {
		if strings.Contains(body, rule) {
			t.Errorf("the page has %q", rule)
		}
	}
	w = b.do("GET", "/api", "Sec-Fetch-Mode", "cors")
	if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Body.String(), "access_denied") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}
