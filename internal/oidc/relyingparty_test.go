package oidc_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	relying "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A relying party that knows the issuer, its own registration and nothing else.
func TestARelyingPartySignsInByDiscoveryAlone(t *testing.T) {
	for name, party := range map[string]oauth2.Config{
		"a public client, RS256":               {ClientID: "1", RedirectURL: callback},
		"a public client on a loopback":        {ClientID: "1", RedirectURL: "http://127.0.0.1:54321/callback"},
		"a client with a secret, ES256":        {ClientID: "2", ClientSecret: secret, RedirectURL: "https://server.example/cb"},
		"with the secret in the body":          {ClientID: "2", ClientSecret: secret, RedirectURL: "https://server.example/cb", Endpoint: oauth2.Endpoint{AuthStyle: oauth2.AuthStyleInParams}},
		"a public client without PKCE, EdDSA":  {ClientID: "4", RedirectURL: callback},
		"a redirect URI that has a query also": {ClientID: "1", RedirectURL: callback + "?track=7"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx := relying.ClientContext(t.Context(), http.DefaultClient)
			provider, err := relying.NewProvider(ctx, w.URL)
			if err != nil {
				t.Fatal(err)
			}
			style := party.Endpoint.AuthStyle
			party.Endpoint = provider.Endpoint()
			party.Endpoint.AuthStyle = style
			party.Scopes = []string{"openid", "profile", "email", "groups"}

			cookie, sess := w.signIn(ada)
			w.Clock.Advance(30 * time.Second)
			options := []oauth2.AuthCodeOption{relying.Nonce("a nonce")}
			var redeem []oauth2.AuthCodeOption
			if party.ClientID != "4" {
				v := oauth2.GenerateVerifier()
				options, redeem = append(options, oauth2.S256ChallengeOption(v)), append(redeem, oauth2.VerifierOption(v))
			}
			asked, err := url.Parse(party.AuthCodeURL("a state", options...))
			if err != nil {
				t.Fatal(err)
			}
			back := parameters(t, w.Get(asked.RequestURI(), cookie).Location())
			if back.Get("state") != "a state" || back.Get("iss") != w.URL {
				t.Fatalf("came back with %v", back)
			}
			token, err := party.Exchange(ctx, back.Get("code"), redeem...)
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := token.Extra("id_token").(string)
			id, err := provider.Verifier(&relying.Config{
				ClientID: party.ClientID, Now: w.Clock.Now, SupportedSigningAlgs: []string{"RS256", "ES256", "EdDSA"},
			}).Verify(ctx, raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := id.VerifyAccessToken(token.AccessToken); err != nil {
				t.Error("at_hash:", err)
			}
			var claims struct {
				AuthTime int64  `json:"auth_time"`
				Session  string `json:"sid"`
			}
			if err := id.Claims(&claims); err != nil {
				t.Fatal(err)
			}
			key := sess.Key()
			if id.Nonce != "a nonce" || id.Subject != ada.Subject || claims.AuthTime != start.Unix() || claims.Session != base64.RawURLEncoding.EncodeToString(key[:]) {
				t.Errorf("ID token: nonce %q, sub %q, %+v", id.Nonce, id.Subject, claims)
			}
			info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
			if err != nil {
				t.Fatal(err)
			}
			if info.Subject != ada.Subject || info.Email != ada.Email || !info.EmailVerified {
				t.Errorf("user info: %+v", info)
			}
		})
	}
}

func TestClaimsGoByScopeAndRegistration(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	everything := map[string]any{
		"name": "ada", "preferred_username": "ada", "picture": ada.Avatar, "email": ada.Email, "email_verified": true, "groups": []any{"players", "crew"},
	}
	for _, tt := range []struct {
		name   string
		query  url.Values
		redeem func(string, ...string) url.Values
		claims []string
		scope  string
	}{
		{"openid alone", app("scope", "openid"), redemption, nil, "openid"},
		{"profile", app("scope", "openid profile"), redemption, []string{"name", "preferred_username", "picture"}, "openid profile"},
		{"email", app("scope", "email openid email"), redemption, []string{"email", "email_verified"}, "openid email"},
		{"groups", app("scope", "openid groups"), redemption, []string{"groups"}, "openid groups"},
		{"what is not registered is left out", server("scope", "openid profile email groups"), serverRedemption, []string{"email", "email_verified"}, "openid email"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := w.tokens(tt.redeem(w.code(cookie, tt.query)))
			if got.Scope != tt.scope || got.Type != "Bearer" || got.Expires != 3600 {
				t.Errorf("got %+v", got)
			}
			info := decode[map[string]any](t, w.Get("/oauth2/userinfo", "", "Authorization", "Bearer "+got.Access))
			id := payload(t, got.ID)
			for name, value := range everything {
				wanted := slices.Contains(tt.claims, name)
				for where, claims := range map[string]map[string]any{"user info": info, "ID token": id} {
					if there := claims[name] != nil; there != wanted || (wanted && !equal(claims[name], value)) {
						t.Errorf("%s: %s is %v", where, name, claims[name])
					}
				}
			}
			if len(info) != 1+len(tt.claims) || info["sub"] != ada.Subject {
				t.Errorf("user info: %v", info)
			}
		})
	}
}

func TestWithoutOpenIDItIsPlainOAuth(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	got := w.tokens(redemption(w.code(cookie, app("scope", "email", "nonce", "-"))))
	if got.ID != "" || got.Scope != "email" || payload(t, got.Access)["aud"].([]any)[0] != "app" {
		t.Errorf("got %+v", got)
	}
}

func TestATokenOfAClientOfItsOwn(t *testing.T) {
	w := newWorld(t)
	provider, err := relying.NewProvider(t.Context(), w.URL)
	if err != nil {
		t.Fatal(err)
	}
	got := w.tokens(url.Values{"grant_type": {"client_credentials"}, "client_id": {"2"}, "client_secret": {secret}, "scope": {"email profile"}})
	if got.Scope != "email" || got.ID != "" {
		t.Errorf("got %+v", got)
	}
	if _, err := provider.UserInfo(context.Background(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: got.Access})); err == nil {
		t.Error("a client is no user")
	}
}
