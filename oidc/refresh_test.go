package oidc_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/oauth"
)

func TestARefreshGivesAnIDTokenOfTheSameSignIn(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	first := w.tokens(serverRedemption(w.code(cookie, server("scope", "openid email offline_access", "nonce", "n-1"))))
	if first.Refresh == "" || first.Scope != "openid email offline" {
		t.Fatalf("scope %q, refresh token %q", first.Scope, first.Refresh)
	}
	w.Clock.Advance(time.Hour)
	refreshing := func(token string) url.Values {
		return changed(serverRedemption("-", "code", "-", "redirect_uri", "-", "grant_type", "refresh_token", "refresh_token", token), nil)
	}
	second := w.tokens(refreshing(first.Refresh))
	before, after := payload(t, first.ID), payload(t, second.ID)
	for _, claim := range []string{"iss", "sub", "aud", "auth_time", "sid", "email"} {
		if before[claim] != after[claim] || after[claim] == nil {
			t.Errorf("%s: %v became %v", claim, before[claim], after[claim])
		}
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

// Whoever had no answer sends the same token again, whenever that is.
func TestALostAnswerOfTheStoreCostsNoGrant(t *testing.T) {
	for name, later := range map[string]time.Duration{
		"at once": 0, "after the grace": oauth.RefreshGrace + 2*time.Second, "the next day": 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(ada)
			first := w.tokens(serverRedemption(w.code(cookie, server("scope", "openid email offline_access"))))
			refreshing := func(token string) url.Values {
				return changed(serverRedemption("-", "code", "-", "redirect_uri", "-", "grant_type", "refresh_token", "refresh_token", token), nil)
			}
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
