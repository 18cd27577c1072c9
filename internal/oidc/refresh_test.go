package oidc_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// refreshing is the form of client 2 that uses a refresh token, changed as told.
func refreshing(token string, changes ...string) url.Values {
	form := serverRedemption("-", "code", "-", "redirect_uri", "-", "code_verifier", "-", "grant_type", "refresh_token", "refresh_token", token)
	return changed(form, changes)
}

func TestARefreshGivesAnIDTokenOfTheSameSignIn(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	first := w.tokens(serverRedemption(w.code(cookie, server("scope", "openid email offline_access", "nonce", "n-1"))))
	if first.Refresh == "" || first.Scope != "openid email offline_access" {
		t.Fatalf("scope %q, refresh token %q", first.Scope, first.Refresh)
	}
	w.Clock.Advance(time.Hour)
	second := w.tokens(refreshing(first.Refresh))
	before, after := payload(t, first.ID), payload(t, second.ID)
	for _, claim := range []string{"iss", "sub", "aud", "auth_time", "sid", "email"} {
		if before[claim] != after[claim] || after[claim] == nil {
			t.Errorf("%s: %v became %v", claim, before[claim], after[claim])
		}
	}
	if second.Scope != first.Scope {
		t.Errorf("scope %q became %q", first.Scope, second.Scope)
	}
	if after["nonce"] != nil {
		t.Error("a refreshed ID token has the nonce of another request")
	}
	if a := w.userInfo(second.Access); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	w.tokens(refreshing(second.Refresh))
	w.Clock.Advance(oauth.RefreshGrace + time.Second)
	wantError(t, w.post("/oauth2/token", refreshing(first.Refresh)), 400, "invalid_grant", badRefresh)
	wantError(t, w.post("/oauth2/token", refreshing(second.Refresh)), 400, "invalid_grant", badRefresh)
	if a := w.userInfo(second.Access); a.Status != 401 {
		t.Errorf("a token of an ended family: %d", a.Status)
	}
}

// A client that got no answer may send the same token again at any time.
func TestALostAnswerOfTheStoreCostsNoGrant(t *testing.T) {
	for name, later := range map[string]time.Duration{
		"at once": 0, "after the grace": oauth.RefreshGrace + 2*time.Second, "the next day": 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(ada)
			first := w.tokens(serverRedemption(w.code(cookie, server("scope", "openid email offline_access"))))
			w.Store.LoseAnswers(true)
			if a := w.post("/oauth2/token", refreshing(first.Refresh)); a.Status != 503 || a.Header.Get("Retry-After") == "" {
				t.Errorf("without an answer of the store: %d, Retry-After %q: %s", a.Status, a.Header.Get("Retry-After"), a.Body)
			}
			w.Store.LoseAnswers(false)
			w.Clock.Advance(later)
			second := w.tokens(refreshing(first.Refresh))
			w.Clock.Advance(time.Hour)
			third := w.tokens(refreshing(second.Refresh))
			if a := w.userInfo(third.Access); a.Status != 200 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

func TestScopesAreAnsweredAsTheyWereAskedFor(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, tt := range []struct{ asked, granted, narrower, answer string }{
		{"openid email offline_access", "openid email offline_access", "openid offline_access", "openid offline_access"},
		{"openid email offline_access", "openid email offline_access", "openid", "openid"},
		{"openid email offline_access", "openid email offline_access", "offline email", "email offline"},
		{"openid email offline", "openid email offline", "email", "email"},
		{"offline_access email profile", "offline_access email", "email profile", "email"},
	} {
		first := w.tokens(serverRedemption(w.code(cookie, server("scope", tt.asked))))
		second := w.tokens(refreshing(first.Refresh, "scope", tt.narrower))
		third := w.tokens(refreshing(second.Refresh))
		if first.Scope != tt.granted || second.Scope != tt.answer || third.Scope != tt.granted {
			t.Errorf("asked for %q, then for %q, then for no scope: %q, %q, %q", tt.asked, tt.narrower, first.Scope, second.Scope, third.Scope)
		}
		for what, token := range map[string]string{"access": first.Access, "refresh": third.Refresh} {
			if got := decode[map[string]any](t, w.introspect(token, "2")); got["active"] != true || got["scope"] != tt.granted {
				t.Errorf("introspection of the %s token: %v", what, got)
			}
		}
	}
}

func TestIntrospectionOfARefreshToken(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	first := w.tokens(serverRedemption(w.code(cookie, server("scope", "openid email offline_access")))).Refresh
	begun := w.Clock.Now().Unix()
	active := func(name, token, client string, want bool) {
		t.Helper()
		a := w.introspect(token, client)
		if got := decode[map[string]any](t, a); got["active"] != want || a.Status != 200 || !want && len(got) != 1 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	got, want := decode[map[string]any](t, w.introspect(first, "2")), map[string]any{
		"active": true, "scope": "openid email offline_access", "client_id": "2", "username": "ada", "sub": ada.Subject, "aud": []any{"server"}, "iss": w.URL,
		"iat": float64(begun), "exp": float64(begun + int64(oauth.RefreshLifetime.Seconds())),
	}
	if !equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	active("to another client", first, "5", false)
	second := w.tokens(refreshing(first)).Refresh // which introspection has not used up
	active("its successor", second, "2", true)
	w.Clock.Advance(oauth.RefreshGrace + time.Second)
	active("used before, whose successor nobody used", first, "2", true)
	active("its successor, later", second, "2", true)
	third := w.tokens(refreshing(second)).Refresh
	w.Clock.Advance(oauth.RefreshGrace + time.Second)
	active("used before its successor was", first, "2", false)
	if a := w.post("/oauth2/token", refreshing(third)); a.Status != 200 {
		t.Errorf("introspection of a used token has ended the grant: %s", a.Body)
	}
	w.People.Remove(ada)
	active("of a user who is gone", third, "2", false)
}

func TestTheRevocationEndpointEndsAGrant(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	grant := func() tokens {
		return w.tokens(serverRedemption(w.code(cookie, server("scope", "openid email offline_access"))))
	}
	ofServer := func(token string) url.Values {
		return url.Values{"client_id": {"2"}, "client_secret": {secret}, "token": {token}}
	}
	endpoint := decode[map[string]any](t, w.Get("/.well-known/openid-configuration", ""))["revocation_endpoint"]
	if endpoint != w.URL+"/oauth2/revoke" {
		t.Fatalf("discovery says %v", endpoint)
	}
	for name, token := range map[string]func(tokens) string{
		"refresh token": func(got tokens) string { return got.Refresh },
		"access token":  func(got tokens) string { return got.Access },
	} {
		got := grant()
		for range 2 { // what counts no longer is as good as revoked
			if a := w.post("/oauth2/revoke", changed(ofServer(token(got)), []string{"token_type_hint", "refresh_token"})); a.Status != 200 || a.Body != "" {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		wantError(t, w.post("/oauth2/token", refreshing(got.Refresh)), 400, "invalid_grant", badRefresh)
		if a := w.introspect(got.Access, "2"); a.Body != `{"active":false}`+"\n" {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	got := grant()
	app1 := w.tokens(redemption(w.code(cookie, app()))).Access
	if a := w.post("/oauth2/revoke", url.Values{"client_id": {"1"}, "token": {app1}}); a.Status != 200 {
		t.Errorf("a public client: %d %s", a.Status, a.Body)
	}
	wantError(t, w.post("/oauth2/revoke", url.Values{"client_id": {"1"}, "token": {got.Refresh}}), 400, "invalid_grant", "The token was issued to another client.")
	wantError(t, w.post("/oauth2/revoke", url.Values{"client_id": {"2"}, "client_secret": {"wrong"}, "token": {got.Refresh}}), 400, "invalid_client", failed)
	wantError(t, w.post("/oauth2/revoke", ofServer("")), 400, "invalid_request", "token is missing.")
	own := w.tokens(url.Values{"grant_type": {"client_credentials"}, "client_id": {"2"}, "client_secret": {secret}}).Access
	wantError(t, w.post("/oauth2/revoke", ofServer(own)), 400, "unsupported_token_type", "A token without a user, or one that was exchanged for another client's, cannot be revoked; it expires by itself.")
	if a := w.Send("GET", "/oauth2/revoke", ""); a.Status != 405 {
		t.Errorf("GET: %d", a.Status)
	}
	if a := w.post("/oauth2/token", refreshing(got.Refresh)); a.Status != 200 {
		t.Errorf("the grant has ended: %s", a.Body)
	}
}
