package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func (w *world) userInfo(token string) answer {
	w.T.Helper()
	return w.Get("/oauth2/userinfo", "", "Authorization", "Bearer "+token)
}

func (w *world) introspect(token, client string) answer {
	w.T.Helper()
	return w.post("/oauth2/introspect", url.Values{"token": {token}}, "Authorization", basic(client, secret))
}

func wantInvalidToken(t testing.TB, a answer) {
	t.Helper()
	wantError(t, a, 401, "invalid_token", "The token is invalid, expired or was revoked.")
	wantHeaders(t, a, "WWW-Authenticate", `Bearer error="invalid_token", error_description="The token is invalid, expired or was revoked."`)
}

func TestClass26OneKindOfTokenIsNotTakenForTheOther(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	got := w.tokens(redemption(w.code(cookie, app("scope", "openid email groups"))))
	wantInvalidToken(t, w.userInfo(got.ID))
	if a := w.introspect(got.ID, "5"); a.Body != `{"active":false}`+"\n" {
		t.Errorf("introspection of an ID token: %s", a.Body)
	}
	asHint := "/oauth2/end_session?" + url.Values{"id_token_hint": {got.Access}}.Encode()
	if a := w.Get(asHint, cookie); a.Location() != w.URL+"/sign_out?" {
		t.Errorf("an access token as a hint: %d %s", a.Status, a.Location())
	}
	if _, err := w.Server.Sessions.Lookup(t.Context(), sess.Key()); err != nil {
		t.Error("an access token ended the session:", err)
	}
}

func TestTokensOfOthersAreNone(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	got := w.tokens(redemption(w.code(cookie, app())))
	other := keys.NewRing(keystest.NewVault(), keys.Options{Now: w.Clock.Now, Algorithms: []keys.Algorithm{keys.ES256}})
	forged, err := other.Sign(t.Context(), keys.ES256, payload(t, got.Access))
	if err != nil {
		t.Fatal(err)
	}
	claims := payload(t, got.Access)
	claims["iss"] = "https://other.example"
	foreign, err := w.Server.Keys.Sign(t.Context(), keys.RS256, claims)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(got.Access, ".")
	for name, token := range map[string]string{
		"no token at all":            "x",
		"signed by others":           forged,
		"of another issuer":          foreign,
		"alg none":                   "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"without its signature":      parts[0] + "." + parts[1] + ".",
		"with another's claims":      parts[0] + "." + strings.Split(got.ID, ".")[1] + "." + parts[2],
		"Class24 longer than tokens": strings.Repeat("x", 20<<10),
	} {
		t.Run(name, func(t *testing.T) {
			wantInvalidToken(t, w.userInfo(token))
			if len(token) > 16<<10 {
				return
			}
			if a := w.introspect(token, "5"); a.Status != http.StatusOK || a.Body != `{"active":false}`+"\n" {
				t.Errorf("introspection: %d %s", a.Status, a.Body)
			}
		})
	}
}

func TestClass16WhatEndsASessionEndsItsTokensAtOnce(t *testing.T) {
	for name, end := range map[string]func(*world, oauth.SignedIn){
		"signing out": func(w *world, in oauth.SignedIn) {
			if err := w.Server.EndSession(w.T.Context(), in, ""); err != nil {
				w.T.Fatal(err)
			}
		},
		"the user is gone":      func(w *world, _ oauth.SignedIn) { w.People.Remove(ada) },
		"the token has expired": func(w *world, _ oauth.SignedIn) { w.Clock.Advance(oauth.TokenLifetime) },
		"the client is disabled": func(w *world, _ oauth.SignedIn) {
			c, _ := w.Server.Clients.Get("1")
			c.Disabled = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, sess := w.signIn(ada)
			got := w.tokens(redemption(w.code(cookie, app())))
			if a := w.userInfo(got.Access); a.Status != http.StatusOK {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			end(w, oauth.SignedIn{Session: sess, User: ada})
			wantInvalidToken(t, w.userInfo(got.Access))
			if a := w.introspect(got.Access, "5"); a.Body != `{"active":false}`+"\n" {
				t.Errorf("introspection: %s", a.Body)
			}
		})
	}
}

func TestHowUserInfoTakesATokenAndRefusesWithoutOne(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	token := w.tokens(redemption(w.code(cookie, app()))).Access
	plain := w.tokens(redemption(w.code(cookie, app("scope", "email")))).Access
	own := w.tokens(url.Values{"grant_type": {"client_credentials"}, "client_id": {"5"}, "client_secret": {secret}, "scope": {"openid"}}).Access
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	inBody := url.Values{"access_token": {token}}
	for name, a := range map[string]answer{
		"GET":            w.Get("/oauth2/userinfo", "", bearer(token)...),
		"scheme in case": w.Get("/oauth2/userinfo", "", "Authorization", "bearer "+token),
		"POST":           w.Send(http.MethodPost, "/oauth2/userinfo", "", bearer(token)...),
		"POST, in body":  w.post("/oauth2/userinfo", inBody),
	} {
		if a.Status != http.StatusOK || !strings.Contains(a.Body, `"sub":"`+ada.Subject+`"`) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		wantHeaders(t, a, "Cache-Control", "no-store", "Content-Type", "application/json")
	}
	for _, tt := range []struct {
		name      string
		answer    answer
		status    int
		challenge string
	}{
		{"no token", w.Get("/oauth2/userinfo", cookie), 401, `Bearer realm="sso"`},
		{"an empty one", w.Get("/oauth2/userinfo", "", "Authorization", "Bearer "), 401, `Bearer realm="sso"`},
		{"Basic", w.Get("/oauth2/userinfo", "", "Authorization", basic("2", secret)), 401, `Bearer realm="sso"`},
		{"in the query", w.Get("/oauth2/userinfo?access_token="+token, ""), 401, `Bearer realm="sso"`},
		{"in both", w.post("/oauth2/userinfo", inBody, bearer(token)...), 400, `Bearer error="invalid_request", error_description="The token should be in the header or in the body, not in both."`},
		{"two headers", w.Get("/oauth2/userinfo", "", append(bearer(token), bearer(token)...)...), 400, `Bearer error="invalid_request", error_description="The request has more than one Authorization header."`},
		{"a client's own", w.userInfo(own), 401, `Bearer error="invalid_token", error_description="The token is of no user, or for the activation of a license."`},
		{"without openid", w.userInfo(plain), 403, `Bearer error="insufficient_scope", error_description="The token should have scope openid.", scope="openid"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.answer.Status != tt.status || strings.Contains(tt.answer.Body, ada.Subject) {
				t.Errorf("got %d %s", tt.answer.Status, tt.answer.Body)
			}
			wantHeaders(t, tt.answer, "WWW-Authenticate", tt.challenge)
		})
	}
}

func TestClass26IntrospectionAnswersOnlyWhomATokenIsFor(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	apps := w.tokens(redemption(w.code(cookie, app("audience", "app other"))))
	servers := w.tokens(serverRedemption(w.code(cookie, server())))
	others := w.tokens(redemption(w.code(cookie, app("audience", "other"))))
	own := w.tokens(url.Values{"grant_type": {"client_credentials"}, "client_id": {"2"}, "client_secret": {secret}})
	const inactive = `{"active":false}` + "\n"
	for _, tt := range []struct {
		name, token, client string
		active              bool
	}{
		{"issued to the caller", servers.Access, "2", true},
		{"the caller's own", own.Access, "2", true},
		{"its audience is one of the caller's", apps.Access, "5", true},
		{"its audience is not", servers.Access, "5", false},
		{"its audience is not, though its client has one that is", others.Access, "5", false},
		{"of another client", apps.Access, "2", false},
		{"another client's own", own.Access, "5", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.introspect(tt.token, tt.client)
			if a.Status != http.StatusOK || (a.Body != inactive) != tt.active {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			wantHeaders(t, a, "Cache-Control", "no-store")
		})
	}
	claims := payload(t, apps.Access)
	got := decode[map[string]any](t, w.introspect(apps.Access, "5"))
	want := map[string]any{
		"active": true, "scope": "openid email", "client_id": "1", "username": "ada", "token_type": "Bearer", "sub": ada.Subject,
		"aud": []any{"app", "other"}, "iss": w.URL, "exp": claims["exp"], "iat": claims["iat"], "jti": claims["jti"],
	}
	if !equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestIntrospectionIsForClientsWithASecret(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	token := w.tokens(redemption(w.code(cookie, app()))).Access
	ask := func(changes ...string) url.Values {
		return changed(url.Values{"token": {token}, "client_id": {"5"}, "client_secret": {secret}}, changes)
	}
	if a := w.post("/oauth2/introspect", ask()); !strings.Contains(a.Body, `"active":true`) {
		t.Errorf("by the body: %s", a.Body)
	}
	wantError(t, w.post("/oauth2/introspect", ask("client_id", "1", "client_secret", "-")), 400, "invalid_client", "A public client cannot prove who it is.")
	wantError(t, w.post("/oauth2/introspect", ask("client_secret", "wrong")), 400, "invalid_client", failed)
	wantError(t, w.post("/oauth2/introspect", ask("client_id", "-", "client_secret", "-")), 400, "invalid_client", "client_id is missing.")
	wantError(t, w.post("/oauth2/introspect", ask("client_id", "-", "client_secret", "-"), "Authorization", "Bearer "+token), 401, "invalid_client", "The Authorization header should be HTTP Basic.")
	wantError(t, w.post("/oauth2/introspect", ask("token", "-")), 400, "invalid_request", "token is missing.")
	if a := w.Send(http.MethodGet, "/oauth2/introspect?"+ask().Encode(), ""); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", a.Status)
	}
}

// A token with scope offline outlives its session, until its grant ends.
func TestATokenWithScopeOfflineOutlivesItsSession(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	got := w.tokens(serverRedemption(w.code(cookie, server("scope", "openid email offline"))))
	w.Clock.Advance(time.Minute)
	if err := w.Server.Sessions.End(t.Context(), sess.Key()); err != nil {
		t.Fatal(err)
	}
	if a := w.userInfo(got.Access); a.Status != http.StatusOK || !strings.Contains(a.Body, ada.Email) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
