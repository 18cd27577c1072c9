package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const (
	badGrant = "The code is invalid, expired, used already, or was issued for another client or redirect_uri."
	failed   = "Client authentication failed."
)

const badRefresh = "The refresh token is invalid, expired, revoked, used already, or was issued to another client."

func TestTheTokenEndpointRefusesAsRFC6749Section52Says(t *testing.T) {
	w := newWorld(t)
	const both = "The client should authenticate in the body or by HTTP Basic, not by both."
	const urlencoded = "The body should be application/x-www-form-urlencoded."
	const grants = "grant_type should be authorization_code, refresh_token or client_credentials."
	for _, tt := range []struct {
		name        string
		form        url.Values
		headers     []string
		status      int
		code        string
		description string
	}{
		{"nothing", url.Values{}, nil, 400, "invalid_client", "client_id is missing."},
		{"no grant_type", redemption("x", "grant_type", "-"), nil, 400, "invalid_request", "grant_type is missing."},
		{"grant_type password", redemption("x", "grant_type", "password"), nil, 400, "unsupported_grant_type", grants},
		{"no refresh_token", redemption("x", "grant_type", "refresh_token"), nil, 400, "invalid_request", "refresh_token is missing."},
		{"refresh_token made up", redemption("x", "grant_type", "refresh_token", "refresh_token", "x"), nil, 400, "invalid_grant", badRefresh},
		{"no code", redemption(""), nil, 400, "invalid_request", "code is missing."},
		{"no redirect_uri", redemption("x", "redirect_uri", "-"), nil, 400, "invalid_request", "redirect_uri is missing."},
		{"code unknown", redemption(strings.Repeat("A", 43)), nil, 400, "invalid_grant", badGrant},
		{"code malformed", redemption("x"), nil, 400, "invalid_grant", badGrant},
		{"client unknown", redemption("x", "client_id", "99"), nil, 400, "invalid_client", failed},
		{"client disabled", redemption("x", "client_id", "3"), nil, 400, "invalid_client", "This client is disabled."},
		{"secret wrong", serverRedemption("x", "client_secret", "wrong"), nil, 400, "invalid_client", failed},
		{"secret missing", serverRedemption("x", "client_secret", "-"), nil, 400, "invalid_client", failed},
		{"secret of a public client", redemption("x", "client_secret", "s"), nil, 400, "invalid_client", "This client is public and has no secret; leave client_secret out."},
		{"Basic with a wrong secret", redemption("x", "client_id", "-"), []string{"Authorization", basic("2", "wrong")}, 401, "invalid_client", failed},
		{"Basic with an unknown client", redemption("x", "client_id", "-"), []string{"Authorization", basic("99", "x")}, 401, "invalid_client", failed},
		{"Basic that is none", redemption("x"), []string{"Authorization", "Basic %%%"}, 401, "invalid_client", "The Authorization header should be HTTP Basic."},
		{"Bearer", redemption("x"), []string{"Authorization", "Bearer abc"}, 401, "invalid_client", "The Authorization header should be HTTP Basic."},
		{"Basic with a wrong secret that is not URL-encoded", redemption("x", "client_id", "-"), []string{"Authorization", rawBasic("2", "%zz")}, 401, "invalid_client", failed},
		{"Basic of two clients", redemption("x", "client_id", "-"), []string{"Authorization", basic("2", secret), "Authorization", basic("5", secret)}, 400, "invalid_request", "The request has more than one Authorization header."},
		{"Basic and Bearer", redemption("x", "client_id", "-"), []string{"Authorization", "Bearer x", "Authorization", basic("2", secret)}, 400, "invalid_request", "The request has more than one Authorization header."},
		{"Basic and client_secret", serverRedemption("x"), []string{"Authorization", basic("2", secret)}, 400, "invalid_request", both},
		{"Basic and another client_id", redemption("x"), []string{"Authorization", basic("2", secret)}, 400, "invalid_request", both},
		{"JSON", redemption("x"), []string{"Content-Type", "application/json"}, 400, "invalid_request", urlencoded},
		{"Class26 a public client has no token of its own", redemption("", "grant_type", "client_credentials"), nil, 400, "unauthorized_client", "A public client has no token of its own."},
		{"Class26 audience of another client", serverRedemption("", "grant_type", "client_credentials", "audience", "app"), nil, 400, "invalid_request", "audience is not registered for this client."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			headers := append([]string{}, tt.headers...)
			if len(headers) == 0 || headers[0] != "Content-Type" {
				headers = append(headers, "Content-Type", form)
			}
			a := w.Send(http.MethodPost, "/oauth2/token", tt.form.Encode(), headers...)
			wantError(t, a, tt.status, tt.code, tt.description)
			if challenged := strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic "); challenged != (tt.status == 401) {
				t.Errorf("challenged: %v", challenged)
			}
		})
	}
	repeated := w.Send(http.MethodPost, "/oauth2/token", redemption("x").Encode()+"&code=y", "Content-Type", form)
	wantError(t, repeated, 400, "invalid_request", "code is there more than once.")
	large := w.Send(http.MethodPost, "/oauth2/token", strings.Repeat("x", 64<<10+1), "Content-Type", form)
	wantError(t, large, 413, "invalid_request", "The body is too large.")
	inQuery := w.Send(http.MethodPost, "/oauth2/token?"+redemption("x").Encode(), "", "Content-Type", form)
	wantError(t, inQuery, 400, "invalid_client", "client_id is missing.")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodOptions} {
		a := w.Send(method, "/oauth2/token", "")
		if a.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, a.Status)
		}
		wantHeaders(t, a, "Allow", "POST")
	}
}

func TestASecretByBasicIsURLEncodedOrAsItIs(t *testing.T) {
	w := newWorld(t)
	for _, header := range []string{basic("2", secret), rawBasic("2", secret)} {
		if a := w.post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization", header); a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", header, a.Status, a.Body)
		}
	}
}

func TestClass12And13ACodeIsForItsClientRedirectURIAndVerifier(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	short := strings.Repeat("v", 42)
	for _, tt := range []struct {
		name  string
		query url.Values
		wrong func(code string) url.Values
		right func(code string, changes ...string) url.Values
	}{
		{"another client", app(), func(c string) url.Values { return redemption(c, "client_id", "4") }, redemption},
		{"another client, with a secret of its own", app(), func(c string) url.Values { return serverRedemption(c, "redirect_uri", callback) }, redemption},
		{"another redirect URI of its client", app(), func(c string) url.Values { return redemption(c, "redirect_uri", "http://127.0.0.1/callback") }, redemption},
		{"no verifier", app(), func(c string) url.Values { return redemption(c, "code_verifier", "-") }, redemption},
		{"another verifier", app(), func(c string) url.Values { return redemption(c, "code_verifier", strings.Repeat("w", 43)) }, redemption},
		{"the challenge, as plain has it", app(), func(c string) url.Values { return redemption(c, "code_verifier", oauth.Challenge(verifier)) }, redemption},
		{"a verifier that is too short", app("code_challenge", oauth.Challenge(short)), func(c string) url.Values { return redemption(c, "code_verifier", short) }, nil},
		{"a verifier where there was no challenge", server("code_challenge", "-", "code_challenge_method", "-"), func(c string) url.Values { return serverRedemption(c) }, func(c string, _ ...string) url.Values { return serverRedemption(c, "code_verifier", "-") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := w.code(cookie, tt.query)
			for range 2 {
				wantError(t, w.post("/oauth2/token", tt.wrong(code)), 400, "invalid_grant", badGrant)
			}
			if tt.right == nil {
				return
			}
			if a := w.post("/oauth2/token", tt.right(code)); a.Status != http.StatusOK {
				t.Errorf("its owner lost it: %d %s", a.Status, a.Body)
			}
		})
	}
}

func TestACodeThatIsUsedTwiceEndsItsGrantAndItsTokensAtOnce(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	code, other := w.code(cookie, app()), w.code(cookie, app())
	got, kept := w.tokens(redemption(code)), w.tokens(redemption(other))
	wantError(t, w.post("/oauth2/token", serverRedemption(code)), 400, "invalid_grant", badGrant)
	if a := w.userInfo(got.Access); a.Status != http.StatusOK {
		t.Fatalf("another client ended the grant: %d %s", a.Status, a.Body)
	}
	w.Clock.Advance(oauth.RedemptionGrace + time.Second)
	wantError(t, w.post("/oauth2/token", redemption(code)), 400, "invalid_grant", badGrant)
	wantInvalidToken(t, w.userInfo(got.Access))
	if a := w.introspect(got.Access, "5"); a.Body != `{"active":false}`+"\n" {
		t.Errorf("introspection says %s", a.Body)
	}
	if a := w.userInfo(kept.Access); a.Status != http.StatusOK {
		t.Errorf("the other grant ended, too: %d", a.Status)
	}
}

func TestACodeExpiresAndEndsWithItsSession(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	code := w.code(cookie, app())
	w.Clock.Advance(2 * time.Minute)
	wantError(t, w.post("/oauth2/token", redemption(code)), 400, "invalid_grant", badGrant)
	code = w.code(cookie, app())
	if err := w.Server.Sessions.End(t.Context(), sess.Key()); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.post("/oauth2/token", redemption(code)), 400, "invalid_grant", badGrant)
}

func TestScriptsOfRegisteredOriginsMayReadTokensAndUserInfo(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		path, methods string
	}{{"/oauth2/token", "POST"}, {"/oauth2/userinfo", "GET, POST"}} {
		for origin, allowed := range map[string]string{
			"https://app.example": "https://app.example", "https://evil.example": "", "null": "", "https://app.example.evil.example": "", "http://127.0.0.1": "",
		} {
			a := w.Send(http.MethodOptions, tt.path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
			if a.Status != http.StatusNoContent {
				t.Errorf("%s: preflight %d", tt.path, a.Status)
			}
			wantHeaders(t, a, "Access-Control-Allow-Origin", allowed, "Vary", "Origin", "Access-Control-Allow-Credentials", "")
			if allowed != "" {
				wantHeaders(t, a, "Access-Control-Allow-Methods", tt.methods, "Access-Control-Allow-Headers", "Authorization, Content-Type")
			}
			wantHeaders(t, w.post(tt.path, url.Values{}, "Origin", origin), "Access-Control-Allow-Origin", allowed, "Access-Control-Allow-Credentials", "", "Vary", "Origin")
		}
	}
	wantHeaders(t, w.post("/oauth2/introspect", url.Values{}, "Origin", "https://app.example"), "Access-Control-Allow-Origin", "")
}

func TestAStoreThatIsDownSpendsNothing(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	got := w.tokens(redemption(w.code(cookie, app())))
	w.Store.Down(true)
	for name, a := range map[string]answer{"user info": w.userInfo(got.Access), "introspection": w.introspect(got.Access, "5")} {
		wantError(t, a, 503, "server_error", "Something went wrong.")
		if a.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
	if w.log.Len() == 0 {
		t.Error("nothing is in the log")
	}
	w.Store.Down(false)
	if a := w.userInfo(got.Access); a.Status != http.StatusOK {
		t.Errorf("and back again: %d %s", a.Status, a.Body)
	}
}
