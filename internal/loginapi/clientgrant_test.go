package loginapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

func clientGrant(changes ...string) url.Values {
	return changed(url.Values{"grant_type": {"client_credentials"}, "client_id": {"2"}, "client_secret": {secret}}, changes)
}

func TestAServerGetsATokenOfItsOwn(t *testing.T) {
	w := newWorld(t)
	for name, tt := range map[string]struct {
		form     url.Values
		headers  []string
		scopes   []string
		audience string
	}{
		"by its secret in the body":       {clientGrant(), nil, []string{}, "server"},
		"by HTTP Basic":                   {clientGrant("client_id", "-", "client_secret", "-"), []string{"Authorization", basic("2", secret)}, []string{}, "server"},
		"for a scope and an audience":     {clientGrant("scope", "email", "audience", "server"), nil, []string{"email"}, "server"},
		"not for a scope it may not have": {clientGrant("scope", "email offline"), nil, []string{"email"}, "server"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.token(tt.form, tt.headers...)
			claims := w.accessToken(a, keys.ES256)
			if claims.Subject != "2" || claims.ClientID != "2" || claims.Grant != "" || claims.SessionID != "" || claims.Username != "" || claims.Email != "" {
				t.Errorf("the token is of %+v", claims)
			}
			if !slices.Equal(claims.Scopes, tt.scopes) || !slices.Equal(claims.Audience, []string{tt.audience}) {
				t.Errorf("scp %q, aud %q", claims.Scopes, claims.Audience)
			}
			var body map[string]any
			if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
				t.Fatal(err)
			}
			if body["expires_in"] != 3600.0 || body["refresh_token"] != "" || body["token_type"] != "bearer" || len(body) != 4 {
				t.Errorf("answer %v", body)
			}
			wantHeaders(t, a, "Cache-Control", "no-store", "Pragma", "no-cache")
		})
	}
}

func TestATokenOfItsOwnIsRefusedWithTheErrorsOfThisAPI(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name        string
		form        url.Values
		status      int
		code        string
		description string
	}{
		{"a public client", clientGrant("client_id", "1", "client_secret", "-"), 422, "003-020", "A public client has no token of its own."},
		{"a wrong secret", clientGrant("client_secret", "wrong"), 400, "010-019", "Client authentication failed."},
		{"no secret", clientGrant("client_secret", "-"), 400, "010-019", "Client authentication failed."},
		{"Class26 audience of another client", clientGrant("audience", "game"), 400, "0", "audience is not registered for this client."},
	} {
		t.Run(tt.name, func(t *testing.T) { wantError(t, w.token(tt.form), tt.status, tt.code, tt.description) })
	}
	w.Store.Down(true)
	if a := w.token(clientGrant()); a.Status != http.StatusOK {
		t.Errorf("a token that needs no store: %d %s", a.Status, a.Body)
	}
}
