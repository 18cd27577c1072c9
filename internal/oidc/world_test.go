package oidc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/httpapi/httpapitest"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oauth/oauthtest"
	"github.com/caddy-sso/caddy-sso/internal/oidc"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

const (
	callback = "https://app.example/cb"
	secret   = "s3cret+%:é, not to be guessed"
)

var (
	start    = oauthtest.Start
	verifier = strings.Repeat("v", 43)
	ada      = session.User{
		Subject: "7e0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "ada", Email: "ada@example.com",
		Groups: []string{"players", "crew"}, Avatar: "https://pictures.example/ada.png", Signin: "local",
	}
	eve = session.User{Subject: "0f8fad5b-d9cb-469f-a165-70867728950e", Name: "eve", Signin: "local"}
)

// A world is an API over an authorization server in memory, behind a real
// server whose address is the issuer.
type world struct {
	*oauthtest.World
	*httpapitest.API
	api *oidc.API
	log *observer.ObservedLogs
}

func newWorld(t testing.TB) *world {
	w := new(world)
	w.API = httpapitest.NewAPI(t, func(path string) http.HandlerFunc { return w.api.Endpoint(path) })
	w.World = oauthtest.New(t, start, w.URL, clients(t))
	w.Server.Licenses = licenses(t, w.Server.Clients)
	w.Server.Limits = codes.Limits{PerSession: 1000}
	logCore, log := observer.New(zapcore.DebugLevel)
	w.log = log
	portal, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := page.New(page.Brand{}, page.Options{Failed: func(err error) { t.Error("a page could not be rendered:", err) }})
	if err != nil {
		t.Fatal(err)
	}
	w.api = &oidc.API{
		Server:       w.Server,
		Cookie:       session.NewCookie("session", portal, ""),
		HostedPage:   func(rawQuery string) string { return w.URL + "/hosted?" + rawQuery },
		ConsentPage:  func(rawQuery string) string { return w.URL + "/consent?" + rawQuery },
		SessionsPage: func(rawQuery string) string { return w.URL + "/sessions?" + rawQuery },
		SignOutPage:  func(query url.Values) string { return w.URL + "/sign_out?" + query.Encode() },
		Pages:        pages,
		From:         func(*http.Request) oauth.Origin { return "192.0.2.1" },
		Log:          zap.New(logCore),
	}
	return w
}

func clients(t testing.TB) []*oauth.Client {
	return []*oauth.Client{
		{
			ID: "1", Name: "The <App>", Public: true, TokenAlg: keys.RS256,
			RedirectURIs: redirectURIs(t, callback, "http://127.0.0.1/callback", callback+"?track=7", "com.example.app:/cb"),
			FailAuthURLs: oauthtest.URIs(t, oauth.ParseFailAuthURL, "https://fail.example"), Audiences: []string{"app", "other"},
			PostLogoutRedirectURIs: oauthtest.URIs(t, oauth.ParsePostLogoutRedirectURI, "https://app.example/bye"),
			Scopes:                 []string{"email", "profile", "groups"},
		},
		{
			ID: "2", Name: "Server", Secret: oauth.NewSecret(secret), TokenAlg: keys.ES256,
			RedirectURIs: redirectURIs(t, "https://server.example/cb"), Audiences: []string{"server"}, Scopes: []string{"email", "offline"},
			PostLogoutRedirectURIs: oauthtest.URIs(t, oauth.ParsePostLogoutRedirectURI, "https://server.example/bye"),
		},
		{
			ID: "3", Name: "Closed", Public: true, Disabled: true, TokenAlg: keys.RS256,
			RedirectURIs: redirectURIs(t, callback), Audiences: []string{"closed"},
		},
		{
			ID: "4", Name: "Older", Public: true, AllowNoPKCE: true, TokenAlg: keys.EdDSA,
			RedirectURIs: redirectURIs(t, callback), Audiences: []string{"older"}, Scopes: []string{"*"},
		},
		{
			ID: "5", Name: "Resource server", Secret: oauth.NewSecret(secret), TokenAlg: keys.ES256,
			RedirectURIs: redirectURIs(t, "https://resource.example/cb"), Audiences: []string{"app"}, Scopes: []string{"openid"},
		},
		{
			ID: "6", Name: "Licensed", Public: true, TokenAlg: keys.ES256,
			RedirectURIs: redirectURIs(t, "https://licensed.example/cb"), Audiences: []string{"6"},
		},
	}
}

func redirectURIs(t testing.TB, raws ...string) []oauth.RedirectURI {
	return oauthtest.URIs(t, oauth.ParseRedirectURI, raws...)
}

func licenses(t testing.TB, cs *oauth.Clients) *oauth.Licenses {
	client, _ := cs.Get("6")
	product := func(code string, p oauth.Product) *oauth.Product {
		p.Code, p.Client, p.Accounts, p.ResponseTypes = code, client, []string{"acme"}, []string{"code", "token"}
		p.RedirectURIs = oauthtest.URIs(t, oauth.ParseRedirectURI, "https://licensed.example/cb", "http://localhost", "acme-app:/callback")
		return &p
	}
	l, err := oauth.NewLicenses([]*oauth.Product{
		product("demo", oauth.Product{}),
		product("seated", oauth.Product{Seats: oauth.Seats{Limit: 1, Deny: true}}),
		product("moving", oauth.Product{Seats: oauth.Seats{Limit: 1}}),
		product("unready", oauth.Product{Provision: unready{}}),
	}, []*oauth.CustomerAccount{{Code: "acme", Methods: []string{"acme"}, EmailDomains: []string{"acme.example"}}}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return l
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

func (w *world) post(path string, body url.Values, headers ...string) answer {
	w.T.Helper()
	return w.Send(http.MethodPost, path, body.Encode(), append([]string{"Content-Type", form}, headers...)...)
}

// app is the query of client 1, changed as told: name, value, name, value; the
// value "-" leaves a parameter out.
func app(changes ...string) url.Values {
	return changed(url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {callback}, "scope": {"openid email"}, "state": {"a state+1"}, "nonce": {"n"},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}, changes)
}

// server is the query of client 2, which has a secret.
func server(changes ...string) url.Values {
	return changed(app("client_id", "2", "redirect_uri", "https://server.example/cb"), changes)
}

// redemption is the form of client 1 for a code, changed as told.
func redemption(code string, changes ...string) url.Values {
	return changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"1"}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}, changes)
}

func serverRedemption(code string, changes ...string) url.Values {
	return changed(redemption(code, "client_id", "2", "client_secret", secret, "redirect_uri", "https://server.example/cb"), changes)
}

// code gets a code from the authorization endpoint.
func (w *world) code(cookie string, query url.Values) string {
	w.T.Helper()
	a := w.Get("/oauth2/authorize?"+query.Encode(), cookie)
	code := parameters(w.T, a.Location()).Get("code")
	if a.Status != http.StatusFound || code == "" {
		w.T.Fatalf("no code: %d %s %s", a.Status, a.Location(), a.Body)
	}
	return code
}

type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Scope   string `json:"scope"`
	Expires int    `json:"expires_in"`
}

// tokens redeems a code.
func (w *world) tokens(redemption url.Values) tokens {
	w.T.Helper()
	a := w.post("/oauth2/token", redemption)
	if a.Status != http.StatusOK {
		w.T.Fatalf("no tokens: %d %s", a.Status, a.Body)
	}
	return decode[tokens](w.T, a)
}

func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return v
}

// parameters are those of a location's query, or of its fragment.
func parameters(t testing.TB, location string) url.Values {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	if u.Fragment == "" {
		return u.Query()
	}
	v, err := url.ParseQuery(u.EscapedFragment())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantError holds an answer to an error as RFC 6749 section 5.2 has it.
func wantError(t testing.TB, a answer, status int, code, description string) {
	t.Helper()
	body := fmt.Sprintf(`{"error":%q,"error_description":%q}`+"\n", code, description)
	if a.Status != status || a.Body != body {
		t.Errorf("got %d %s\nwant %d %s", a.Status, a.Body, status, body)
	}
	wantHeaders(t, a, "Content-Type", "application/json", "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff", "Location", "", "Set-Cookie", "")
}

// wantPage holds an answer to a page in words, that leads nowhere by itself.
func wantPage(t testing.TB, a answer, status int, words string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, words) {
		t.Errorf("got %d, want %d with %q: %s", a.Status, status, words, a.Body)
	}
	if strings.Contains(a.Body, "http-equiv") {
		t.Error("the page leads on by itself")
	}
	wantHeaders(t, a, "Content-Type", "text/html; charset=utf-8", "Cache-Control", "no-store", "Referrer-Policy", "no-referrer", "Location", "")
}
