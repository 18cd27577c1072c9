package license

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// A relyingParty is an application that knows the issuer and its own
// registration, and the rest by discovery.
type relyingParty struct {
	oauth2.Config
	provider               *oidc.Provider
	verifier, state, nonce string
}

func (w *world) relyingParty(t *testing.T, id, secret string) *relyingParty {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), w.Portal)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(listener.Close)
	return &relyingParty{
		Config: oauth2.Config{
			ClientID: id, ClientSecret: secret, Endpoint: provider.Endpoint(),
			RedirectURL: listener.URL + "/callback", Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
		},
		provider: provider,
		verifier: oauth2.GenerateVerifier(), state: oauth2.GenerateVerifier(), nonce: oauth2.GenerateVerifier(),
	}
}

func (rp *relyingParty) authURL() string {
	return rp.AuthCodeURL(rp.state, oidc.Nonce(rp.nonce), oauth2.S256ChallengeOption(rp.verifier))
}

// code is the one that came to the redirect URI, with the issuer's name (RFC
// 9207) and the state.
func (rp *relyingParty) code(t *testing.T, page *harness.Response, issuer string) string {
	t.Helper()
	q := page.URL.Query()
	if !strings.HasPrefix(page.URL.String(), rp.RedirectURL+"?") || q.Get("code") == "" || q.Get("state") != rp.state || q.Get("iss") != issuer {
		t.Fatalf("ended at %s with %d: %s", page.URL, page.Status, page.Body)
	}
	return q.Get("code")
}

func (rp *relyingParty) redeem(t *testing.T, code string) *oauth2.Token {
	t.Helper()
	token, err := rp.Exchange(t.Context(), code, oauth2.VerifierOption(rp.verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// idToken verifies what came with an access token.
func (rp *relyingParty) idToken(t *testing.T, token *oauth2.Token) (raw string, verified *oidc.IDToken) {
	t.Helper()
	raw, _ = token.Extra("id_token").(string)
	verified, err := rp.provider.Verifier(&oidc.Config{ClientID: rp.ClientID}).Verify(t.Context(), raw)
	if err == nil {
		err = verified.VerifyAccessToken(token.AccessToken)
	}
	if err == nil && verified.Nonce != rp.nonce {
		err = errors.New("the nonce is " + verified.Nonce)
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw, verified
}

// client2 has what an application of OpenID Connect needs beyond the standard
// configuration.
func client2(c *harness.Caddyfile, _ *harness.License) {
	c.Clients[1].Lines += "\nscope profile groups\npost_logout_redirect_uri http://127.0.0.1/bye"
}

func TestGoOIDCSignsInByDiscoveryAlone(t *testing.T) {
	onOneNodeAndTwo(t, goOIDCSignsInByDiscoveryAlone)
}

func goOIDCSignsInByDiscoveryAlone(t *testing.T, start starter) {
	t.Helper()
	w := start(t, client2)
	rp := w.relyingParty(t, "2", harness.Secret)
	browser := harness.NewClient(t)
	token := rp.redeem(t, rp.code(t, browser.SignIn(rp.authURL(), harness.Demo), w.Portal))
	raw, idToken := rp.idToken(t, token)

	info, err := rp.provider.UserInfo(context.Background(), oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	var profile struct {
		Name string `json:"preferred_username"`
	}
	if err := info.Claims(&profile); err != nil {
		t.Fatal(err)
	}
	if info.Subject != idToken.Subject || info.Email != harness.Demo.Email || profile.Name != harness.Demo.Name {
		t.Errorf("the user is %+v, %+v; the token's is %s", info, profile, idToken.Subject)
	}

	var endpoints struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := rp.provider.Claims(&endpoints); err != nil {
		t.Fatal(err)
	}
	back := strings.TrimSuffix(rp.RedirectURL, "/callback") + "/bye"
	page := browser.Open(endpoints.EndSession + "?" + url.Values{
		"id_token_hint": {raw}, "post_logout_redirect_uri": {back}, "state": {"over"},
	}.Encode())
	if page.URL.String() != back+"?state=over" {
		t.Errorf("the sign-out ended at %s with %d: %s", page.URL, page.Status, page.Body)
	}
	if _, err := browser.Open(rp.authURL()).Form("password"); err != nil {
		t.Errorf("after signing out: %v", err)
	}
	if _, err := rp.provider.UserInfo(context.Background(), oauth2.StaticTokenSource(token)); err == nil {
		t.Error("the access token outlived the sign-out")
	}
}

// TestClass26ACodeOfAnotherKindActivatesNothing holds that codes and tokens of OpenID
// Connect are not for licenses, even of the same client, nor those of licenses
// for anything else.
func TestClass26ACodeOfAnotherKindActivatesNothing(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) {
		l.Client = "name \"Demo CAD\"\nsecret " + harness.Secret + "\nredirect_uri http://127.0.0.1/callback http://localhost\naudience 10 cad\nscope email profile"
	})
	browser := harness.NewClient(t)
	a := w.app(t, browser)
	rp := w.relyingParty(t, "10", harness.Secret)
	code := rp.code(t, browser.SignIn(rp.authURL(), harness.Demo), w.Portal)
	w.sealed(t, w.post(t, routes[0], a.Activation(code, "")), 0, http.StatusBadRequest, "invalid_code")

	token := rp.redeem(t, rp.code(t, browser.Open(rp.authURL()), w.Portal))
	raw, _ := rp.idToken(t, token)
	for _, foreign := range []string{token.AccessToken, raw} {
		w.sealed(t, w.post(t, routes[0], a.Activation("", foreign)), 0, http.StatusUnauthorized, "invalid_id_token")
	}

	code = a.newCode(t)
	rp.RedirectURL = a.RedirectURI
	for _, options := range [][]oauth2.AuthCodeOption{nil, {oauth2.VerifierOption(rp.verifier)}} {
		if _, err := rp.Exchange(t.Context(), code, options...); err == nil {
			t.Error("a token endpoint redeemed the code of a license")
		}
	}
	w.wantActivated(t, a, a.Activation(code, ""), harness.Demo)
	tokens := a.again(t, "token")
	licensed := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: tokens.Get("access_token"), TokenType: "Bearer"})
	if _, err := rp.provider.UserInfo(t.Context(), licensed); err == nil {
		t.Error("userinfo takes the token of a license")
	}
}

func TestOpenIDClientSignsInByDiscoveryAlone(t *testing.T) {
	onOneNodeAndTwo(t, openIDClientSignsInByDiscoveryAlone)
}

func openIDClientSignsInByDiscoveryAlone(t *testing.T, start starter) {
	t.Helper()
	w := start(t, client2, func(c *harness.Caddyfile, l *harness.License) {
		c.Clients[0].Lines += "\npost_logout_redirect_uri http://127.0.0.1/bye"
	})
	for name, registration := range map[string]map[string]string{
		"with a secret": {"clientId": "2", "clientSecret": harness.Secret},
		"by PKCE alone": {"clientId": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			registration["issuer"] = w.Portal
			script := harness.StartScript(t, "license/testdata/openid-client.mjs", registration)
			var said struct {
				URL, Failed, EndSession, Bye string
				Claims, UserInfo             map[string]any
			}
			next := func() {
				t.Helper()
				if err := script.Next(&said); err != nil || said.Failed != "" {
					t.Fatalf("%v %s", err, said.Failed)
				}
			}
			next()
			browser := harness.NewClient(t)
			browser.SignIn(said.URL, harness.Demo)
			next()
			if said.UserInfo["email"] != harness.Demo.Email || said.UserInfo["sub"] != said.Claims["sub"] || said.Claims["iss"] != w.Portal {
				t.Errorf("the claims are %v, the user %v", said.Claims, said.UserInfo)
			}
			page := browser.Open(said.EndSession)
			if page.URL.String() != said.Bye+"?state=over" {
				t.Errorf("the sign-out ended at %s with %d: %s", page.URL, page.Status, page.Text())
			}
			if _, err := browser.Open(said.URL).Form("password"); err != nil {
				t.Errorf("after signing out: %v", err)
			}
		})
	}
}
