package loginapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/httpapi/httpapitest"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/loginapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oauth/oauthtest"
	"github.com/caddy-sso/caddy-sso/session"
)

const (
	issuer    = "https://login.example"
	callback  = "https://game.example/cb"
	secret    = "s3cret+%41:é, not to be guessed"
	sharedKey = "the key of the older backend, 64 bytes long, is not a secret one"
	project   = "40db2ea4-5c1c-11e6-a3ff-005056a0e04a"
)

var (
	start    = oauthtest.Start
	verifier = strings.Repeat("v", 43)
	ada      = session.User{
		Subject: "7e0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "ada", Email: "ada@example.com",
		Groups: []string{"players", "crew"}, Signin: "local",
	}
)

// A world is an API over an authorization server in memory, behind a real
// server.
type world struct {
	*oauthtest.World
	*httpapitest.API
	api   *loginapi.API
	log   *observer.ObservedLogs
	asked *atomic.Int64 // how often a password was checked
}

func newWorld(t testing.TB) *world {
	w := &world{World: oauthtest.New(t, start, issuer, clients(t)), asked: new(atomic.Int64)}
	w.Server.Limits = codes.Limits{PerSession: 100_000}
	logCore, log := observer.New(zapcore.DebugLevel)
	w.log = log
	portal, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	w.api = &loginapi.API{
		Server:      w.Server,
		Cookie:      session.NewCookie("session", portal, ""),
		HostedPage:  func(rawQuery string) string { return issuer + "/sso/signin?" + rawQuery },
		ConsentPage: func(rawQuery string) string { return issuer + "/sso/consent?" + rawQuery },
		SignOutPage: issuer + "/sso/sign_out",
		Widget: func(_ context.Context, a *oauth.Authorization, code string) (string, error) {
			if a.State == "widget is broken" {
				return "", errors.New("no widget today")
			}
			return issuer + "/sso/widget?to=" + url.QueryEscape(a.Callback(code)), nil
		},
		SignIn:   w.passwordSignIn,
		Provider: func(_ *oauth.Authorization, id string) bool { return id == "acme" || id == "down" },
		Leave:    leave,
		From:     func(*http.Request) oauth.Origin { return "192.0.2.1" },
		Log:      zap.New(logCore),
	}
	w.API = httpapitest.NewAPI(t, func(path string) http.HandlerFunc { return w.api.Endpoint(httpapi.CanonicalPath(path)) }) // as the portal
	return w
}

func clients(t testing.TB) []*oauth.Client {
	list := []*oauth.Client{
		{
			ID: "1", Name: "Game", Public: true, TokenAlg: keys.RS256,
			RedirectURIs: redirectURIs(t, callback, "http://127.0.0.1/callback", "http://localhost/callback", callback+"?track=7", "com.example.game:/cb"),
			FailAuthURLs: oauthtest.URIs(t, oauth.ParseFailAuthURL, "https://game.example/signed-out?lang=en", "https://fail.example"),
			Audiences:    []string{"game", "https://api.example/a b+c"},
			Scopes:       []string{"email", "offline"},
		},
		{
			ID: "2", Name: "Server", Secret: oauth.NewSecret(secret), TokenAlg: keys.ES256, Project: project,
			RedirectURIs: redirectURIs(t, "https://server.example/cb"), Audiences: []string{"server"}, Scopes: []string{"email"},
		},
		{
			ID: "3", Name: "Closed", Public: true, Disabled: true, TokenAlg: keys.RS256,
			RedirectURIs: redirectURIs(t, "https://closed.example/cb"), Audiences: []string{"closed"},
		},
		{
			ID: "4", Name: "Older game", Public: true, AllowNoPKCE: true, TokenAlg: keys.EdDSA,
			RedirectURIs: redirectURIs(t, "https://older.example/cb"), Audiences: []string{"older", "other"}, Scopes: []string{"*"},
		},
		{
			ID: "5", Name: "Another game", Public: true, TokenAlg: keys.ES256,
			RedirectURIs: redirectURIs(t, callback), Audiences: []string{"game"}, Scopes: []string{"offline"},
		},
	}
	shared, err := keys.NewSharedKey(sharedKey)
	if err != nil {
		t.Fatal(err)
	}
	return append(list, &oauth.Client{
		ID: "6", Name: "Older backend", Secret: oauth.NewSecret(secret), TokenAlg: keys.HS256, HS256Key: shared,
		RedirectURIs: redirectURIs(t, "https://legacy.example/cb"), Audiences: []string{"legacy", "game"}, Scopes: []string{"email", "offline"},
		TokenLifetime: 15 * time.Minute,
		Claims: []oauth.CustomClaim{
			{Name: "studio", Value: "The studio"},
			{Name: "roles", Value: "{user.groups}"},
			{Name: "display", Value: "{user.name} <{user.email}>"},
			{Name: "picture", Value: "{user.avatar}"},
			{Name: "method", Value: "{user.provider}"},
		},
	})
}

func redirectURIs(t testing.TB, raws ...string) []oauth.RedirectURI {
	return oauthtest.URIs(t, oauth.ParseRedirectURI, raws...)
}

// signIn begins a session, and returns the Cookie header for it.
func (w *world) signIn(u session.User) (string, *session.Session) {
	w.T.Helper()
	token, in := w.SignIn(u)
	return w.api.Cookie.Name + "=" + token, in.Session
}

// An answer is a response, read to its end.
type answer = httpapitest.Answer

const form = httpapitest.Form

var changed, wantHeaders, basic, rawBasic = httpapitest.Changed, httpapitest.WantHeaders, httpapitest.Basic, httpapitest.RawBasic

// token posts to the token endpoint.
func (w *world) token(body url.Values, headers ...string) answer {
	w.T.Helper()
	return w.Send(http.MethodPost, "/api/oauth2/token", body.Encode(), append([]string{"Content-Type", form}, headers...)...)
}

// code gets a code from the authorization endpoint.
func (w *world) code(cookie string, query url.Values) string {
	w.T.Helper()
	a := w.Get("/api/oauth2/auth?"+query.Encode(), cookie)
	if a.Status != http.StatusFound {
		w.T.Fatalf("no code: %d %s", a.Status, a.Body)
	}
	location, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		w.T.Fatal(err)
	}
	code := location.Query().Get("code")
	if code == "" {
		w.T.Fatalf("no code in %s", location)
	}
	return code
}

// game is the query of client 1, changed as told: name, value, name, value;
// the value "-" leaves a parameter out.
func game(changes ...string) url.Values {
	return changed(url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {callback}, "scope": {"email"},
		"state": {"12345678"}, "audience": {"game"},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}, changes)
}

// redemption is the form of client 1 for a code, changed as told.
func redemption(code string, changes ...string) url.Values {
	return changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"1"}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}, changes)
}

// aboutParam finds the parameter that the description of an error is about.
var aboutParam = regexp.MustCompile(`^([a-z_]+) (is|should|has|in query) `)

// wantError holds an answer to an error of the Login API, to the byte. Where a
// parameter is at fault, the details are what is wrong with it and no other, for
// which there is wantDetails.
func wantError(t testing.TB, a answer, status int, code, description string) {
	t.Helper()
	details := map[string]string{}
	if about := aboutParam.FindStringSubmatch(description); about != nil {
		details[about[1]] = description
	}
	wantDetails(t, a, status, code, description, details)
}

// wantDetails is wantError where more than one parameter is wrong.
func wantDetails(t testing.TB, a answer, status int, code, description string, details map[string]string) {
	t.Helper()
	object, err := json.Marshal(details)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"error":{"code":%q,"description":%q,"details":%s}}`+"\n", code, description, object)
	if a.Status != status || a.Body != body {
		t.Errorf("got %d %s\nwant %d %s", a.Status, a.Body, status, body)
	}
	wantHeaders(t, a, "Content-Type", "application/json", "Cache-Control", "no-store",
		"Referrer-Policy", "no-referrer", "X-Content-Type-Options", "nosniff", "Location", "", "Set-Cookie", "")
}

// accessToken reads the answer of the token endpoint and verifies its token.
func (w *world) accessToken(a answer, alg keys.Algorithm) oauth.Claims {
	w.T.Helper()
	if a.Status != http.StatusOK {
		w.T.Fatalf("no token: %d %s", a.Status, a.Body)
	}
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		w.T.Fatal(err)
	}
	payload, err := w.Server.Keys.Verify(w.T.Context(), body.Token, alg)
	if err != nil {
		w.T.Fatal(err)
	}
	var claims oauth.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		w.T.Fatal(err)
	}
	return claims
}
