package loginapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func (w *world) logout(sessions, token string) answer {
	w.T.Helper()
	return w.Send(http.MethodGet, "/api/oauth2/logout?sessions="+sessions, "", bearer(token)...)
}

// A backend that was given a token for itself alone can act for the user there,
// and not sign them out of everything else.
func TestClass26LogoutOfAllTakesATokenForItsOwnClient(t *testing.T) {
	for _, tt := range []struct {
		name  string
		token func(w *world, cookie string) string
		may   bool
	}{
		{"for all audiences", func(w *world, cookie string) string { return w.older(cookie, "older other") }, true},
		{"for the client's first audience alone", func(w *world, cookie string) string { return w.older(cookie, "older") }, true},
		{"for another audience alone", func(w *world, cookie string) string { return w.older(cookie, "other") }, false},
		{"narrowed to the first audience", func(w *world, cookie string) string {
			token, _ := w.access(w.token(exchanging(w.older(cookie, "older other"), "audience", "older")))
			return token
		}, true},
		{"narrowed to another audience", func(w *world, cookie string) string {
			token, _ := w.access(w.token(exchanging(w.older(cookie, "older other"), "audience", "other")))
			return token
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(ada)
			elsewhere, _ := w.signIn(ada)
			persistent, _ := w.tokens(elsewhere, "offline")
			token := tt.token(w, cookie)
			if tt.may {
				if a := w.logout("all", token); a.Status != http.StatusNoContent {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				w.wantValid(false, token, persistent)
				return
			}
			wantError(t, w.logout("all", token), 401, "002-016", foreignToken)
			w.wantValid(true, token, persistent)
			w.code(elsewhere, game())
			// What it hangs on itself it may end.
			if a := w.logout("sso", token); a.Status != http.StatusNoContent {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			w.wantValid(false, token)
			w.wantValid(true, persistent)
		})
	}
}

// older is a token of client 4 for a session.
func (w *world) older(cookie, audience string) string {
	w.T.Helper()
	code := w.code(cookie, older("audience", audience, "scope", "email"))
	token, _ := w.access(w.token(redemption(code, "client_id", "4", "redirect_uri", "https://older.example/cb")))
	return token
}

// A client that traded another's token for its own has its first audience in
// there: that does not make the user one who signed in to it.
func TestClass26ABackendsExchangedTokenSignsNobodyOut(t *testing.T) {
	for id, name := range map[string]string{"2": "by a key of the portal", "6": "by a shared key"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			backend, _ := w.Server.Clients.Get(id)
			backend.Audiences = []string{"game"}
			cookie, _ := w.signIn(ada)
			token, refresh := w.tokens(cookie, "offline")
			form := []string{"client_id", id, "client_secret", secret}
			exchanged, _ := w.access(w.token(exchanging(token, form...)))
			again, _ := w.access(w.token(exchanging(exchanged, form...)))
			for _, traded := range []string{exchanged, again} {
				for _, sessions := range []string{"sso", "all"} {
					wantError(t, w.logout(sessions, traded), 401, "002-016", foreignToken)
				}
				wantError(t, w.revoke(revoking(traded, form...)), 400, "0", notRevocable)
				if a := w.Send(http.MethodGet, "/api/users/me", "", bearer(traded)...); a.Status != http.StatusOK {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				header, payload := parts(t, traded)
				if !strings.Contains(payload, `"act":{"sub":"`+id+`"}`) {
					t.Errorf("it does not say who got it: %s", payload)
				}
				// With the shared key its holder can leave that out.
				own := strings.Replace(payload, `"act":{"sub":"`+id+`"},`, "", 1)
				wantError(t, w.logout("all", hmacJWT(header, own, []byte(sharedKey))), 401, "002-016", badToken)
			}
			w.wantValid(true, token, exchanged, again)
			w.code(cookie, game())
			w.refreshToken(w.token(refreshing(refresh)))
			if refused := w.Audit.FilterMessage(string(oauth.TokenRefused)).Len(); refused != 4 {
				t.Errorf("%d refusals in the audit log, want 4", refused)
			}
		})
	}
}

func TestATokenOfNobodysExchangeNamesNoActor(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	token := w.older(cookie, "older other")
	narrowed, _ := w.access(w.token(exchanging(token, "audience", "other")))
	for _, own := range []string{token, narrowed} {
		if _, payload := parts(t, own); strings.Contains(payload, `"act"`) {
			t.Errorf("got %s", payload)
		}
	}
}
