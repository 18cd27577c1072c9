package loginapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const badRefresh = "The refresh token is invalid, expired, revoked, used already, or was issued to another client."

// refreshing is the form of client 1 that uses a refresh token.
func refreshing(token string, changes ...string) url.Values {
	return changed(url.Values{"grant_type": {"refresh_token"}, "client_id": {"1"}, "refresh_token": {token}}, changes)
}

func (w *world) refreshToken(a answer) string {
	w.T.Helper()
	var body struct {
		Refresh *string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != 200 || body.Refresh == nil {
		w.T.Fatalf("status %d, %s", a.Status, a.Body)
	}
	return *body.Refresh
}

func TestARefreshAnswersWithTheNextToken(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	first := w.token(redemption(w.code(cookie, game("scope", "offline email"))))
	token := w.refreshToken(first)
	for range 3 {
		w.Clock.Advance(time.Hour)
		a := w.token(refreshing(token))
		next := w.refreshToken(a)
		if next == token || next == "" {
			t.Fatalf("after %q came %q", token, next)
		}
		if claims := w.accessToken(a, keys.RS256); claims.Subject != ada.Subject || claims.Grant != w.accessToken(first, keys.RS256).Grant {
			t.Errorf("claims %+v", claims)
		}
		token = next
	}
}

func TestWithoutScopeOfflineTheRefreshTokenIsThereAndEmpty(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	if token := w.refreshToken(w.token(redemption(w.code(cookie, game("scope", "email"))))); token != "" {
		t.Errorf("it is %.10q", token)
	}
}

func TestRefreshErrorsOfTheReference(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	live := w.refreshToken(w.token(redemption(w.code(cookie, game("scope", "offline")))))
	spent := w.refreshToken(w.token(redemption(w.code(cookie, game("scope", "offline")))))
	w.token(refreshing(w.refreshToken(w.token(refreshing(spent)))))
	w.Clock.Advance(oauth.RefreshGrace + time.Second)
	for _, tt := range []struct {
		name        string
		form        url.Values
		code        string
		description string
	}{
		{"missing", refreshing("x", "refresh_token", "-"), "0", "refresh_token is missing."},
		{"empty", refreshing(""), "0", "refresh_token is missing."},
		{"made up", refreshing("x"), "010-023", badRefresh},
		{"another client's", refreshing(live, "client_id", "2", "client_secret", secret), "010-023", badRefresh},
		{"spent", refreshing(spent), "010-023", badRefresh},
		{"an access token", refreshing("eyJhbGciOiJub25lIn0.e30."), "010-023", badRefresh},
		{"of nobody", refreshing(live, "client_id", "-"), "0", "client_id is missing."},
		{"repeated", url.Values{"grant_type": {"refresh_token"}, "client_id": {"1"}, "refresh_token": {live, "x"}}, "0", "refresh_token is there more than once, with different values."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, w.token(tt.form), 400, tt.code, tt.description)
		})
	}
	w.refreshToken(w.token(refreshing(live))) // none of it cost the owner anything
}

// A client that got no answer may send the same token again at any time.
func TestALostAnswerOfTheStoreCostsNoGrant(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	_, token := w.tokens(cookie, "offline")
	for range 3 { // and of the successor as of the first one
		w.Store.LoseAnswers(true)
		if a := w.token(refreshing(token)); a.Status != http.StatusTeapot || a.Header.Get("Retry-After") == "" {
			t.Errorf("without an answer of the store: %d, Retry-After %q: %s", a.Status, a.Header.Get("Retry-After"), a.Body)
		}
		w.Store.LoseAnswers(false)
		w.Clock.Advance(oauth.RefreshGrace + 2*time.Second)
		token = w.refreshToken(w.token(refreshing(token)))
	}
	if n := w.Audit.FilterMessage(string(oauth.GrantEnded)).Len(); n != 0 {
		t.Errorf("%d grants ended", n)
	}
}
