package protocol

import (
	"net/http"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func TestAGameRedeemsItsCodeForATokenThatThePublishedKeysVerify(t *testing.T) {
	onOneNodeAndTwo(t, aGameRedeemsItsCodeForATokenThatThePublishedKeysVerify)
}

func aGameRedeemsItsCodeForATokenThatThePublishedKeysVerify(t *testing.T, start starter) {
	t.Helper()
	r := start(t, func(c *harness.Caddyfile) {
		c.Clients = append(c.Clients, harness.PublicClient("11", "ES256"), harness.PublicClient("12", "EdDSA"))
	})
	tests := []struct {
		name   string
		client string
		alg    jose.SignatureAlgorithm
	}{
		{"RS256, the Login API's own", "1", jose.RS256},
		{"ES256", "11", jose.ES256},
		{"EdDSA", "12", jose.EdDSA},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGame(t, r.Portal, tt.client, "email", "offline")
			browser := harness.NewClient(t)
			before := time.Now().Add(-time.Second)
			browser.SignIn(g.authURL("game shop"), harness.Demo)
			token, err := g.redeem(g.code(t))
			if err != nil {
				t.Fatal(err)
			}
			if token.TokenType != "bearer" || token.ExpiresIn != 3600 {
				t.Errorf("token_type %q, expires_in %d", token.TokenType, token.ExpiresIn)
			}
			if _, there := token.Extra("refresh_token").(string); !there {
				t.Error("the answer has no key refresh_token")
			}
			claims := verify(t, token.AccessToken, tt.alg, publishedKeys(t, browser, r.Portal, tt.client))
			wantClaims(t, claims, tt.client, r.Portal, before)
			for range 3 { // as often as the token has expired
				token.Expiry = time.Now().Add(-time.Minute)
				next, err := g.TokenSource(t.Context(), token).Token()
				if err != nil {
					t.Fatal(err)
				}
				if next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken {
					t.Error("a refresh gave a token of before")
				}
				wantClaims(t, verify(t, next.AccessToken, tt.alg, publishedKeys(t, browser, r.Portal, tt.client)), tt.client, r.Portal, before)
				token = next
			}
			// The gate knows the same person by the same subject.
			browser.Open(r.Gate + "/")
			if sub := r.echo(t, browser).Header.Get("X-SSO-Subject"); sub != claims["sub"] {
				t.Errorf("sub is %v, the gate says %v", claims["sub"], sub)
			}
		})
	}
}

// wantClaims holds a token of Demo, for scopes email and offline and both
// audiences, against the reference.
func wantClaims(t *testing.T, claims map[string]any, client, issuer string, before time.Time) {
	t.Helper()
	for name, want := range map[string]any{
		"iss":                     issuer,
		"aud":                     []any{"game", "shop"},
		"scp":                     []any{"email", "offline"},
		"xsolla_login_project_id": client,
		"username":                harness.Demo.Name,
		"email":                   harness.Demo.Email,
	} {
		if !reflect.DeepEqual(claims[name], want) {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	issued, _ := claims["iat"].(float64)
	expires, _ := claims["exp"].(float64)
	if at := time.Unix(int64(issued), 0); at.Before(before.Truncate(time.Second)) || at.After(time.Now()) {
		t.Errorf("iat is %v", at)
	}
	if expires-issued != 3600 {
		t.Errorf("exp is %v seconds after iat", expires-issued)
	}
	if sub, _ := claims["sub"].(string); !uuid.MatchString(sub) {
		t.Errorf("sub is no UUID: %v", claims["sub"])
	}
	if jti, _ := claims["jti"].(string); len(jti) < 16 {
		t.Errorf("jti is %v", claims["jti"])
	}
	groups, _ := claims["groups"].([]any)
	if len(groups) != 1 {
		t.Fatalf("groups is %v", claims["groups"])
	}
	group, _ := groups[0].(map[string]any)
	if id, _ := group["id"].(float64); id <= 0 || group["name"] != "players" || group["is_default"] != true {
		t.Errorf("the group is %v", group)
	}
}

func TestAServerRedeemsItsCodeWithItsSecret(t *testing.T) {
	onOneNodeAndTwo(t, aServerRedeemsItsCodeWithItsSecret)
}

func aServerRedeemsItsCodeWithItsSecret(t *testing.T, start starter) {
	t.Helper()
	r := start(t)
	browser := r.signedIn(t, harness.Demo)
	for name, style := range map[string]oauth2.AuthStyle{
		"HTTP Basic":  oauth2.AuthStyleInHeader,
		"in the body": oauth2.AuthStyleInParams,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGame(t, r.Portal, "2", "email")
			g.Endpoint.AuthStyle = style
			g.ClientSecret = "not " + harness.Secret
			code := g.codeOf(t, browser)
			if _, err := g.redeem(code); err == nil {
				t.Fatal("a wrong secret redeemed the code")
			}
			g.ClientSecret = harness.Secret
			token, err := g.redeem(code)
			if err != nil {
				t.Fatalf("the right secret, after a wrong one: %v", err)
			}
			verify(t, token.AccessToken, jose.ES256, publishedKeys(t, browser, r.Portal, "2"))
		})
	}
	t.Run("both at once are refused", func(t *testing.T) {
		t.Parallel()
		g := newGame(t, r.Portal, "2", "email")
		form := g.form(g.codeOf(t, browser))
		form.Set("client_secret", harness.Secret)
		req := formRequest(t, g.Endpoint.TokenURL, form)
		req.SetBasicAuth("2", harness.Secret)
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status != http.StatusBadRequest || errorCode(t, resp) != "0" {
			t.Errorf("answered %d: %s", resp.Status, resp.Body)
		}
	})
}

func TestClass12ACodeIsBoundToItsClientItsRedirectURIAndItsVerifier(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *harness.Caddyfile) { c.Clients = append(c.Clients, harness.PublicClient("11", "ES256")) })
	browser := r.signedIn(t, harness.Demo)
	for name, change := range map[string][2]string{
		"another client":              {"client_id", "11"},
		"another redirect URI":        {"redirect_uri", "http://127.0.0.1:1/callback"},
		"another verifier":            {"code_verifier", verifier},
		"class 13: no verifier":       {"code_verifier", ""},
		"class 13: verifier = method": {"code_verifier", "S256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGame(t, r.Portal, "1", "email")
			code := g.codeOf(t, browser)
			form := g.form(code)
			form.Set(change[0], change[1])
			resp := browser.Post(g.Endpoint.TokenURL, form)
			if resp.Status != http.StatusBadRequest || errorCode(t, resp) != "010-023" {
				t.Errorf("answered %d: %s", resp.Status, resp.Body)
			}
			if _, err := g.redeem(code); err != nil {
				t.Errorf("its owner lost the code: %v", err)
			}
		})
	}
}
