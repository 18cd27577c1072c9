package loginapi_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const (
	badSubject = "Error getting the OAuth 2.0 token: the subject_token is invalid, expired, revoked, or not for this client."
	tokenType  = "urn:ietf:params:oauth:token-type:access_token"
)

// exchanging is the form of client 4, which may have everything.
func exchanging(token string, changes ...string) url.Values {
	return changed(url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token_exchange"}, "client_id": {"4"},
		"subject_token": {token}, "subject_token_type": {tokenType},
	}, changes)
}

// older is the query of client 4.
func older(changes ...string) url.Values {
	return changed(game("client_id", "4", "redirect_uri", "https://older.example/cb", "audience", "older other", "scope", "email offline playfab"), changes)
}

// broad is a token of client 4 for two audiences and three scopes.
func (w *world) broad() (string, oauth.Claims) {
	w.T.Helper()
	cookie, _ := w.signIn(ada)
	a := w.token(redemption(w.code(cookie, older()), "client_id", "4", "redirect_uri", "https://older.example/cb"))
	token, _ := w.access(a)
	return token, w.accessToken(a, keys.EdDSA)
}

func TestATokenIsExchangedForANarrowerOne(t *testing.T) {
	for _, tt := range []struct {
		name     string
		changes  []string
		audience []string
		scopes   []string
	}{
		{"for one audience", []string{"audience", "other"}, []string{"other"}, []string{"email", "offline", "playfab"}},
		{"for one scope", []string{"scope", "email"}, []string{"older", "other"}, []string{"email", "offline"}},
		{"for no scope", []string{"scope", ""}, []string{"older", "other"}, []string{"offline"}},
		{"for scopes that it has not", []string{"scope", "email admin"}, []string{"older", "other"}, []string{"email", "offline"}},
		{"for the same", nil, []string{"older", "other"}, []string{"email", "offline", "playfab"}},
		{"in the spelling of RFC 8693", []string{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"}, []string{"older", "other"}, []string{"email", "offline", "playfab"}},
		{"as a JWT", []string{"subject_token_type", "urn:ietf:params:oauth:token-type:jwt", "requested_token_type", tokenType}, []string{"older", "other"}, []string{"email", "offline", "playfab"}},
		{"without a type", []string{"subject_token_type", "-"}, []string{"older", "other"}, []string{"email", "offline", "playfab"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			token, before := w.broad()
			w.Clock.Advance(10 * time.Minute)
			a := w.token(exchanging(token, tt.changes...))
			after := w.accessToken(a, keys.EdDSA)
			if !slices.Equal(after.Audience, tt.audience) || !slices.Equal(after.Scopes, tt.scopes) {
				t.Errorf("aud %q, scp %q", after.Audience, after.Scopes)
			}
			if after.Grant != before.Grant || after.SessionID != before.SessionID || after.Subject != ada.Subject || after.ID == before.ID {
				t.Errorf("got %+v for %+v", after, before)
			}
			if after.Expires != before.Expires {
				t.Errorf("it expires %d s later", after.Expires-before.Expires)
			}
			want := `"expires_in":3000,"token_type":"bearer","issued_token_type":"` + tokenType + `"}` + "\n"
			if !strings.HasSuffix(a.Body, want) {
				t.Errorf("got %s", a.Body)
			}
		})
	}
}

func TestAnExchangeIsRefused(t *testing.T) {
	w := newWorld(t)
	token, _ := w.broad()
	cookie, _ := w.signIn(ada)
	games, refresh := w.tokens(cookie, "offline")
	revoked, _ := w.broad()
	if a := w.revoke(revoking(revoked, "client_id", "4")); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	own, _ := w.access(w.token(clientGrant()))
	server := []string{"client_id", "2", "client_secret", secret}
	for _, tt := range []struct {
		name        string
		form        url.Values
		status      int
		code        string
		description string
	}{
		{"without a token", exchanging(""), 400, "0", "subject_token is missing."},
		{"what is no token", exchanging("x"), 401, "003-025", badSubject},
		{"a refresh token", exchanging(refresh), 401, "003-025", badSubject},
		{"Class16 a revoked token", exchanging(revoked), 401, "003-025", badSubject},
		{"Class26 another client's token, though it is for our audience", exchanging(games, "client_id", "5"), 401, "003-025", badSubject},
		{"Class26 a token that was not meant for the client", exchanging(games, server...), 401, "003-025", badSubject},
		{"a client's own token", exchanging(own, server...), 401, "003-025", badSubject},
		{"an audience that nobody has", exchanging(token, "audience", "evil"), 400, "0", "audience is not registered for this client."},
		{"another type", exchanging(token, "subject_token_type", "urn:ietf:params:oauth:token-type:saml2"), 400, "0", "subject_token_type should be " + tokenType + "."},
		{"for another type", exchanging(token, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), 400, "0", "requested_token_type should be " + tokenType + "."},
		{"for an actor", exchanging(token, "actor_token", "x"), 400, "0", "actor_token is not supported."},
		{"for a resource", exchanging(token, "resource", "https://x.example"), 400, "0", "resource is not supported."},
		{"by a client that is disabled", exchanging(token, "client_id", "3"), 422, "003-020", "This client is disabled."},
		{"by a client without its secret", exchanging(token, "client_id", "2"), 400, "010-019", "Client authentication failed."},
	} {
		t.Run(tt.name, func(t *testing.T) { wantError(t, w.token(tt.form), tt.status, tt.code, tt.description) })
	}
	narrow, _ := w.access(w.token(exchanging(token, "audience", "other", "scope", "email")))
	wantError(t, w.token(exchanging(narrow, "audience", "older")), 400, "0", "audience should be one that the subject_token has.")
	if got := w.accessToken(w.token(exchanging(narrow, "scope", "email playfab")), keys.EdDSA); !slices.Equal(got.Scopes, []string{"email", "offline"}) {
		t.Errorf("a scope came back: %q", got.Scopes)
	}
}

func TestABackendExchangesWhatWasMeantForIt(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	token, _ := w.access(w.token(redemption(w.code(cookie, game("audience", "game "+url.QueryEscape("https://api.example/a b+c"), "scope", "email offline")))))
	a := w.token(exchanging(token, "client_id", "6", "client_secret", secret))
	exchanged, _ := w.access(a)
	me := w.Send(http.MethodGet, "/api/users/me", "", bearer(exchanged)...)
	if me.Status != http.StatusOK {
		t.Errorf("%d %s", me.Status, me.Body)
	}
	w.wantValid(true, exchanged)
	games, _ := w.Server.Clients.Get("1")
	games.Disabled = true
	w.wantValid(false, token, exchanged)
	games.Disabled = false
	// It is of the same grant.
	if a := w.revoke(revoking(token)); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	w.wantValid(false, exchanged)
}

func TestABackendGetsNoTokenOfAUserWhoDoesNotCountForIt(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	token, _ := w.tokens(cookie, "email")
	backend, _ := w.Server.Clients.Get("6")
	exchange := func() answer { return w.token(exchanging(token, "client_id", "6", "client_secret", secret)) }
	backend.Methods = []string{ada.Signin}
	w.access(exchange())
	backend.Methods = []string{"acme"}
	wantError(t, exchange(), 401, "003-025", badSubject)
}
