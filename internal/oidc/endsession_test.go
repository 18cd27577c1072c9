package oidc_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func (w *world) endSession(cookie string, params ...string) answer {
	w.T.Helper()
	return w.Get("/oauth2/end_session?"+changed(url.Values{}, params).Encode(), cookie, "Accept", "text/html")
}

func (w *world) lives(s *session.Session) bool {
	w.T.Helper()
	_, err := w.Server.Sessions.Lookup(w.T.Context(), s.Key())
	if err != nil && !errors.Is(err, session.ErrNone) {
		w.T.Fatal(err)
	}
	return err == nil
}

func TestAHintThatNamesTheBrowsersSessionSignsOutAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		params []string
		back   string
	}{
		"and goes back":                           {[]string{"post_logout_redirect_uri", "https://app.example/bye", "state", "a b"}, "https://app.example/bye?state=a%20b"},
		"and goes back without a state":           {[]string{"post_logout_redirect_uri", "https://app.example/bye"}, "https://app.example/bye"},
		"and goes where fail_auth_url allows":     {[]string{"post_logout_redirect_uri", "https://fail.example/x?y=1", "state", "s"}, "https://fail.example/x?y=1&state=s"},
		"and goes to a page that says so":         {nil, "/sign_out?"},
		"the client may be named beside the hint": {[]string{"client_id", "1", "post_logout_redirect_uri", "https://app.example/bye"}, "https://app.example/bye"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, sess := w.signIn(ada)
			got := w.tokens(redemption(w.code(cookie, app())))
			w.Clock.Advance(3 * time.Hour) // the hint has expired
			a := w.endSession(cookie, append(tt.params, "id_token_hint", got.ID)...)
			if strings.HasPrefix(tt.back, "/") {
				tt.back = w.URL + tt.back
			}
			if a.Status != http.StatusFound || a.Location() != tt.back {
				t.Errorf("got %d %s, want %s", a.Status, a.Location(), tt.back)
			}
			wantHeaders(t, a, "Cache-Control", "no-store", "Referrer-Policy", "no-referrer")
			if !strings.HasPrefix(a.Header.Get("Set-Cookie"), w.api.Cookie.Name+"=; Path=/; Max-Age=0") {
				t.Errorf("the cookie stays: %s", a.Header.Get("Set-Cookie"))
			}
			if w.lives(sess) {
				t.Error("the session goes on")
			}
			if w.Audit.FilterMessage(string(oauth.SessionEnded)).Len() != 1 {
				t.Error("it is not in the audit log")
			}
			wantInvalidToken(t, w.userInfo(got.Access))
		})
	}
}

func TestClass37AHintInAPageThatIsLoadedEarlyOnlyAsks(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	hint := w.tokens(redemption(w.code(cookie, app()))).ID
	target := "/oauth2/end_session?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://app.example/bye"}}.Encode()
	for _, early := range [][]string{
		{"Sec-Purpose", "prefetch"}, {"Sec-Purpose", "prefetch;prerender"}, {"Purpose", "prefetch"}, {"X-Moz", "prefetch"},
	} {
		a := w.Get(target, cookie, early...)
		if !strings.HasPrefix(a.Location(), w.URL+"/sign_out?") || a.Header.Get("Set-Cookie") != "" || !w.lives(sess) {
			t.Errorf("%s: %d %s", early, a.Status, a.Location())
		}
	}
	if a := w.Get(target, cookie); a.Location() != "https://app.example/bye" || w.lives(sess) {
		t.Errorf("%d %s", a.Status, a.Location())
	}
}

func TestAHintInAFormIsInNoAddress(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	hint := w.tokens(redemption(w.code(cookie, app()))).ID
	form := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {"s"}}
	a := w.post("/oauth2/end_session", form, "Origin", "https://app.example")
	_, payload, _ := strings.Cut(hint, ".")
	if a.Status != http.StatusSeeOther || strings.Contains(a.Location(), payload[:40]) || strings.Contains(a.Location(), "id_token_hint") {
		t.Fatalf("%d %s", a.Status, a.Location())
	}
	if got := w.Get(a.Location(), cookie); got.Location() != "https://app.example/bye?state=s" || w.lives(sess) {
		t.Errorf("%d %s", got.Status, got.Location())
	}
	if got := w.Get(a.Location()+"&sealed_hint=x", cookie); got.Status != http.StatusBadRequest {
		t.Errorf("two hints: %d %s", got.Status, got.Location())
	}
	cookie, sess = w.signIn(ada)
	made := "/oauth2/end_session?" + url.Values{"sealed_hint": {hint}, "client_id": {"1"}}.Encode()
	if got := w.Get(made, cookie); got.Location() != w.URL+"/sign_out?" || !w.lives(sess) {
		t.Errorf("a hint that was not sealed here: %d %s", got.Status, got.Location())
	}
	form.Add("id_token_hint", hint)
	wantPage(t, w.Get(w.post("/oauth2/end_session", form, "Origin", "https://app.example").Location(), cookie), http.StatusBadRequest, "sealed_hint is there more than once.")
	form.Set("id_token_hint", strings.Repeat("x", 60_000))
	wantPage(t, w.post("/oauth2/end_session", form, "Origin", "https://app.example"), http.StatusBadRequest, "id_token_hint is too long.")
	asked := w.post("/oauth2/authorize", app("prompt", "none", "id_token_hint", hint))
	if a := w.Get(asked.Location(), cookie); strings.Contains(asked.Location(), payload[:40]) || !parameters(t, a.Location()).Has("code") {
		t.Errorf("the authorization endpoint: %s, %s", asked.Location(), a.Location())
	}
}

func TestClass22OnlyTheHintOfThisSessionSignsOutWithoutAsking(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	other, _ := w.signIn(ada)
	another, _ := w.signIn(eve)
	hint := w.tokens(redemption(w.code(cookie, app()))).ID
	ofAnotherSession := w.tokens(redemption(w.code(other, app()))).ID
	ofAnotherUser := w.tokens(redemption(w.code(another, app()))).ID
	bye := url.Values{"client_id": {"1"}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {"s"}}.Encode()
	registered := []string{"post_logout_redirect_uri", "https://app.example/bye", "state", "s"}
	for _, tt := range []struct {
		name   string
		params []string
		ask    string
	}{
		{"no hint", nil, ""},
		{"a client alone", append(registered, "client_id", "1"), bye},
		{"a hint of the user's other session", append(registered, "id_token_hint", ofAnotherSession), bye},
		{"a hint of another user", append(registered, "id_token_hint", ofAnotherUser), bye},
		{"a hint that is none, and a client", append(registered, "client_id", "1", "id_token_hint", "x"), bye},
		{"a hint of another client than the one named", []string{"client_id", "2", "id_token_hint", hint}, ""},
		{"a hint whose signature is wrong", []string{"id_token_hint", hint[:len(hint)-4] + "AAAA"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.endSession(cookie, tt.params...)
			if want := w.URL + "/sign_out?" + tt.ask; a.Status != http.StatusFound || a.Location() != want {
				t.Errorf("got %d %s, want %s", a.Status, a.Location(), want)
			}
			if !w.lives(sess) {
				t.Fatal("the session has ended")
			}
		})
	}
	image := w.Get("/oauth2/end_session?"+url.Values{"id_token_hint": {hint}}.Encode(), cookie, "Sec-Fetch-Mode", "no-cors")
	wantPage(t, image, http.StatusBadRequest, "not for an image")
	head := w.Send(http.MethodHead, "/oauth2/end_session?"+url.Values{"id_token_hint": {hint}}.Encode(), "", "Cookie", cookie)
	if head.Status != http.StatusMethodNotAllowed || !w.lives(sess) {
		t.Errorf("HEAD: %d", head.Status)
	}
}

func TestClass10ASignOutLeadsNowhereThatIsNotRegistered(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	hint := w.tokens(redemption(w.code(cookie, app()))).ID
	for _, uri := range []string{
		"https://evil.example", "https://app.example/bye/", "https://app.example/bye?x=1", "https://app.example/", callback, "//app.example/bye", "/bye",
		"https://server.example/bye", "https://fail.example.evil.example/", "https://fail.example@evil.example/", "javascript:alert(1)", "https://fail.example:8443/",
	} {
		for name, a := range map[string]answer{
			"signed in":        w.endSession(cookie, "id_token_hint", hint, "post_logout_redirect_uri", uri),
			"signed out":       w.endSession("", "client_id", "1", "post_logout_redirect_uri", uri),
			"no client":        w.endSession("", "post_logout_redirect_uri", uri),
			"disabled client":  w.endSession("", "client_id", "3", "post_logout_redirect_uri", uri),
			"the wrong client": w.endSession(cookie, "id_token_hint", hint, "client_id", "2", "post_logout_redirect_uri", uri),
		} {
			if a.Status != http.StatusBadRequest || a.Location() != "" || !strings.Contains(a.Body, "You are not signed out yet") || strings.Contains(a.Body, "evil") {
				t.Errorf("%s, %s: %d %s", uri, name, a.Status, a.Location())
			}
		}
	}
	if !w.lives(sess) {
		t.Error("the session has ended")
	}
	twice := w.Get("/oauth2/end_session?client_id=1&client_id=2", cookie)
	wantPage(t, twice, http.StatusBadRequest, "client_id is there more than once.")
}

func TestWhoIsSignedOutAlreadyGoesBackAtOnce(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	hint := w.tokens(redemption(w.code(cookie, app()))).ID
	for name, a := range map[string]answer{
		"by the client": w.endSession("", "client_id", "1", "post_logout_redirect_uri", "https://app.example/bye"),
		"by the hint":   w.endSession("", "id_token_hint", hint, "post_logout_redirect_uri", "https://app.example/bye"),
	} {
		if a.Status != http.StatusFound || a.Location() != "https://app.example/bye" {
			t.Errorf("%s: %d %s", name, a.Status, a.Location())
		}
	}
}

func TestClass16TheSessionOfAUserWhoIsGoneCanBeEnded(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	hint := w.tokens(redemption(w.code(cookie, app()))).ID
	w.People.Remove(ada)
	w.endSession(cookie, "id_token_hint", hint)
	if w.lives(sess) {
		t.Error("it would come back with its user")
	}
}

func TestAStoreThatIsDownIsNoSignOut(t *testing.T) {
	w := newWorld(t)
	w.Store.Down(true)
	a := w.endSession(w.api.Cookie.Name+"="+strings.Repeat("A", 43), "client_id", "1", "post_logout_redirect_uri", "https://app.example/bye")
	wantPage(t, a, http.StatusServiceUnavailable, "You have not been signed out.")
	wantHeaders(t, a, "Set-Cookie", "")
}

func TestAServerWithoutTheBrowsersCookieIsToldThatNothingEnded(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	hint := w.tokens(redemption(w.code(cookie, app()))).ID
	form := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {"s"}}
	const description = "No session was ended: only the browser of the user can do that here, with its cookie. Redirect it to this address. The tokens of the client end at the revocation_endpoint."
	for name, a := range map[string]answer{
		"GET":                            w.Get("/oauth2/end_session?"+form.Encode(), "", "Accept", "application/json"),
		"GET, without a hint":            w.Get("/oauth2/end_session", "", "Accept", "*/*"),
		"GET, with a cookie of the past": w.Get("/oauth2/end_session?"+form.Encode(), w.api.Cookie.Name+"="+strings.Repeat("A", 43)),
		"POST":                           w.post("/oauth2/end_session", form, "Accept", "application/json"),
	} {
		t.Run(name, func(t *testing.T) { wantError(t, a, http.StatusBadRequest, "invalid_request", description) })
	}
	if !w.lives(sess) {
		t.Error("the session has ended")
	}
}
