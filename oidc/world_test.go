package oidc_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/oidc"
	"github.com/caddy-sso/caddy-sso/page"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

const (
	callback = "https://app.example/cb"
	secret   = "s3cret+%:é"
)

var (
	start    = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	verifier = strings.Repeat("v", 43)
	ada      = session.User{
		Subject: "7e0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "ada", Email: "ada@example.com",
		Groups: []string{"players", "crew"}, Avatar: "https://pictures.example/ada.png", Signin: "local",
	}
	eve = session.User{Subject: "0f8fad5b-d9cb-469f-a165-70867728950e", Name: "eve", Signin: "local"}
)

// ring is shared, since an RSA key takes long to make.
var ring = sync.OnceValue(func() *keys.Ring {
	return keys.NewRing(keys.NewMemoryVault(), keys.Options{
		Now:        func() time.Time { return start },
		Algorithms: []keys.Algorithm{keys.RS256, keys.ES256, keys.EdDSA},
	})
})

// A world is an API with its store, clock and people, behind a real server
// whose address is the issuer.
type world struct {
	t      testing.TB
	clock  *clock
	store  *store
	people *people
	server *oauth.Server
	api    *oidc.API
	audit  *observer.ObservedLogs
	log    *observer.ObservedLogs
	url    string
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, clock: new(clock), people: new(people)}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.store = &store{Store: memory.New(memory.Options{Now: w.clock.Now})}
	cache := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
	t.Cleanup(cache.Close)
	sessions := session.New(cache, session.Policy{})

	auditCore, audit := observer.New(zapcore.InfoLevel)
	logCore, log := observer.New(zapcore.DebugLevel)
	w.audit, w.log = audit, log
	list := clients(t)
	w.server = &oauth.Server{
		Issuer:   w.url,
		Clients:  list,
		Licenses: licenses(t, list),
		Sessions: sessions,
		Codes:    codes.NewMemory(codes.Options{Now: w.clock.Now}),
		Limits:   codes.Limits{PerSession: 1000},
		Keys:     ring(),
		Grants:   oauth.NewGrants(w.store, sessions),
		Users:    w.people,
		Store:    w.store,
		Audit:    oauth.NewAudit(zap.New(auditCore)),
		Now:      w.clock.Now,
	}
	portal, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := page.New(page.Brand{}, page.Options{Failed: func(err error) { t.Error("a page could not be rendered:", err) }})
	if err != nil {
		t.Fatal(err)
	}
	w.api = &oidc.API{
		Server:       w.server,
		Cookie:       session.NewCookie("session", portal, ""),
		HostedPage:   func(rawQuery string) string { return w.url + "/hosted?" + rawQuery },
		SessionsPage: func(rawQuery string) string { return w.url + "/sessions?" + rawQuery },
		SignOutPage:  func(query url.Values) string { return w.url + "/sign_out?" + query.Encode() },
		Pages:        pages,
		From:         func(*http.Request) oauth.Origin { return "192.0.2.1" },
		Log:          zap.New(logCore),
	}
	return w
}

// ServeHTTP does what the portal does: the API's paths, and 404 for the rest.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if endpoint := w.api.Endpoint(r.URL.Path); endpoint != nil {
		endpoint(rw, r)
		return
	}
	rw.WriteHeader(http.StatusNotFound)
}

func clients(t testing.TB) *oauth.Clients {
	cs, err := oauth.NewClients([]*oauth.Client{
		{
			ID: "1", Name: "The <App>", Public: true, TokenAlg: keys.RS256,
			RedirectURIs: uris(t, oauth.ParseRedirectURI, callback, "http://127.0.0.1/callback", callback+"?track=7", "com.example.app:/cb"),
			FailAuthURLs: uris(t, oauth.ParseFailAuthURL, "https://fail.example"), Audiences: []string{"app", "other"},
			PostLogoutRedirectURIs: uris(t, oauth.ParsePostLogoutRedirectURI, "https://app.example/bye"),
			Scopes:                 []string{"email", "profile", "groups"},
		},
		{
			ID: "2", Name: "Server", Secret: oauth.NewSecret(secret), TokenAlg: keys.ES256,
			RedirectURIs: uris(t, oauth.ParseRedirectURI, "https://server.example/cb"), Audiences: []string{"server"}, Scopes: []string{"email", "offline"},
			PostLogoutRedirectURIs: uris(t, oauth.ParsePostLogoutRedirectURI, "https://server.example/bye"),
		},
		{
			ID: "3", Name: "Closed", Public: true, Disabled: true, TokenAlg: keys.RS256,
			RedirectURIs: uris(t, oauth.ParseRedirectURI, callback), Audiences: []string{"closed"},
		},
		{
			ID: "4", Name: "Older", Public: true, AllowNoPKCE: true, TokenAlg: keys.EdDSA,
			RedirectURIs: uris(t, oauth.ParseRedirectURI, callback), Audiences: []string{"older"}, Scopes: []string{"*"},
		},
		{
			ID: "5", Name: "Resource server", Secret: oauth.NewSecret(secret), TokenAlg: keys.ES256,
			RedirectURIs: uris(t, oauth.ParseRedirectURI, "https://resource.example/cb"), Audiences: []string{"app"}, Scopes: []string{"openid"},
		},
		{
			ID: "6", Name: "Licensed", Public: true, TokenAlg: keys.ES256,
			RedirectURIs: uris(t, oauth.ParseRedirectURI, "https://licensed.example/cb"), Audiences: []string{"6"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func uris[U any](t testing.TB, parse func(string) (U, error), raws ...string) []U {
	var list []U
	for _, raw := range raws {
		u, err := parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	return list
}

func licenses(t testing.TB, cs *oauth.Clients) *oauth.Licenses {
	client, _ := cs.Get("6")
	product := func(code string, p oauth.Product) *oauth.Product {
		p.Code, p.Client, p.Accounts, p.ResponseTypes = code, client, []string{"acme"}, []string{"code", "token"}
		p.RedirectURIs = uris(t, oauth.ParseProductRedirectURI, "https://licensed.example/cb", "http://localhost", "acme-app:/callback")
		return &p
	}
	l, err := oauth.NewLicenses([]*oauth.Product{
		product("demo", oauth.Product{}),
		product("seated", oauth.Product{Seats: oauth.Seats{Limit: 1, Deny: true}}),
		product("moving", oauth.Product{Seats: oauth.Seats{Limit: 1}}),
		product("unready", oauth.Product{Provision: unready{}}),
	}, []*oauth.CustomerAccount{{Code: "acme", Ways: []string{"acme"}, EmailDomains: []string{"acme.example"}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// signIn begins a session, and returns the Cookie header for it.
func (w *world) signIn(u session.User) (string, *session.Session) {
	w.t.Helper()
	token, s, err := w.server.Sessions.Begin(w.t.Context(), session.SignIn{User: u})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.api.Cookie.Name + "=" + token.Encode(), s
}

// An answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) location() string { return a.header.Get("Location") }

// get asks the server, and follows no redirect.
func (w *world) get(path, cookie string, headers ...string) answer {
	w.t.Helper()
	return w.send(http.MethodGet, path, "", append(headers, "Cookie", cookie)...)
}

func (w *world) send(method, path, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	setHeaders(r, headers)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(read)}
}

// direct asks the API without a network, for what no client sends.
func (w *world) direct(method, path, rawQuery, body string, headers ...string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	r.URL.RawQuery = rawQuery
	setHeaders(r, headers)
	recorder := httptest.NewRecorder()
	w.ServeHTTP(recorder, r)
	return answer{recorder.Code, recorder.Header(), recorder.Body.String()}
}

func setHeaders(r *http.Request, headers []string) {
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
}

const form = "application/x-www-form-urlencoded"

func (w *world) post(path string, body url.Values, headers ...string) answer {
	w.t.Helper()
	return w.send(http.MethodPost, path, body.Encode(), append([]string{"Content-Type", form}, headers...)...)
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

func changed(v url.Values, changes []string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			v.Del(changes[i])
		} else {
			v.Set(changes[i], changes[i+1])
		}
	}
	return v
}

// code gets a code from the authorization endpoint.
func (w *world) code(cookie string, query url.Values) string {
	w.t.Helper()
	a := w.get("/oauth2/authorize?"+query.Encode(), cookie)
	code := parameters(w.t, a.location()).Get("code")
	if a.status != http.StatusFound || code == "" {
		w.t.Fatalf("no code: %d %s %s", a.status, a.location(), a.body)
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
	w.t.Helper()
	a := w.post("/oauth2/token", redemption)
	if a.status != http.StatusOK {
		w.t.Fatalf("no tokens: %d %s", a.status, a.body)
	}
	return decode[tokens](w.t, a)
}

func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
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

func wantHeaders(t testing.TB, a answer, headers ...string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if got := strings.Join(a.header.Values(headers[i]), ", "); got != headers[i+1] {
			t.Errorf("%s is %q, want %q", headers[i], got, headers[i+1])
		}
	}
}

// wantError holds an answer to an error as RFC 6749 section 5.2 has it.
func wantError(t testing.TB, a answer, status int, code, description string) {
	t.Helper()
	body := fmt.Sprintf(`{"error":%q,"error_description":%q}`+"\n", code, description)
	if a.status != status || a.body != body {
		t.Errorf("got %d %s\nwant %d %s", a.status, a.body, status, body)
	}
	wantHeaders(t, a, "Content-Type", "application/json", "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff", "Location", "", "Set-Cookie", "")
}

// wantPage holds an answer to a page in words, that leads nowhere by itself.
func wantPage(t testing.TB, a answer, status int, words string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, words) {
		t.Errorf("got %d, want %d with %q: %s", a.status, status, words, a.body)
	}
	if strings.Contains(a.body, "http-equiv") {
		t.Error("the page leads on by itself")
	}
	wantHeaders(t, a, "Content-Type", "text/html; charset=utf-8", "Cache-Control", "no-store", "Referrer-Policy", "no-referrer", "Location", "")
}
