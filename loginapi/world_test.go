package loginapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/loginapi"
	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

const (
	issuer    = "https://login.example"
	callback  = "https://game.example/cb"
	secret    = "s3cret+%:é"
	sharedKey = "the key of the older backend, 64 bytes long, is not a secret one"
	project   = "40db2ea4-5c1c-11e6-a3ff-005056a0e04a"
)

var (
	start    = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	verifier = strings.Repeat("v", 43)
	ada      = session.User{
		Subject: "7e0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "ada", Email: "ada@example.com",
		Groups: []string{"players", "crew"}, Signin: "local",
	}
)

// ring is shared, since an RSA key takes long to make.
var ring = sync.OnceValue(func() *keys.Ring {
	return keys.NewRing(keys.NewMemoryVault(), keys.Options{
		Now:        func() time.Time { return start },
		Algorithms: []keys.Algorithm{keys.RS256, keys.ES256, keys.EdDSA},
	})
})

// A world is an API with its store, clock and people, behind a real server.
type world struct {
	t      testing.TB
	clock  *clock
	store  *store
	people *people
	server *oauth.Server
	api    *loginapi.API
	audit  *observer.ObservedLogs
	log    *observer.ObservedLogs
	asked  *atomic.Int64 // how often a password was checked
	url    string
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, clock: new(clock), people: new(people), asked: new(atomic.Int64)}
	w.store = &store{Store: memory.New(memory.Options{Now: w.clock.Now})}
	cache := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
	t.Cleanup(cache.Close)
	sessions := session.New(cache, session.Policy{})

	auditCore, audit := observer.New(zapcore.InfoLevel)
	logCore, log := observer.New(zapcore.DebugLevel)
	w.audit, w.log = audit, log
	w.server = &oauth.Server{
		Issuer:   issuer,
		Clients:  clients(t),
		Sessions: sessions,
		Codes:    codes.NewMemory(codes.Options{Now: w.clock.Now}),
		Limits:   codes.Limits{PerSession: 100_000},
		Keys:     ring(),
		Grants:   oauth.NewGrants(w.store, sessions),
		Users:    w.people,
		Store:    w.store,
		Audit:    oauth.NewAudit(zap.New(auditCore)),
		Now:      w.clock.Now,
	}
	portal, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	w.api = &loginapi.API{
		Server:     w.server,
		Cookie:     session.NewCookie("session", portal, ""),
		HostedPage: func(rawQuery string) string { return issuer + "/sso/signin?" + rawQuery },
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
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// ServeHTTP does what the portal does: the API's paths, and 404 for the rest.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if endpoint := w.api.Endpoint(r.URL.Path); endpoint != nil {
		endpoint(rw, r)
		return
	}
	rw.WriteHeader(http.StatusNotFound)
	io.WriteString(rw, "not the API's") //nolint:errcheck // the client went away
}

func clients(t testing.TB) *oauth.Clients {
	list := []*oauth.Client{
		{
			ID: "1", Name: "Game", Public: true, TokenAlg: keys.RS256,
			RedirectURIs: redirectURIs(t, callback, "http://127.0.0.1/callback", callback+"?track=7", "com.example.game:/cb"),
			FailAuthURLs: failAuthURLs(t, "https://game.example/signed-out?lang=en", "https://fail.example"),
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
	list = append(list, &oauth.Client{
		ID: "6", Name: "Older backend", Secret: oauth.NewSecret(secret), TokenAlg: keys.HS256, HS256Key: shared,
		RedirectURIs: redirectURIs(t, "https://legacy.example/cb"), Audiences: []string{"legacy", "game"}, Scopes: []string{"email", "offline"},
		TokenLifetime: 15 * time.Minute,
		Claims: []oauth.ExtraClaim{
			{Name: "studio", Value: "The studio"},
			{Name: "roles", Value: "{user.groups}"},
			{Name: "display", Value: "{user.name} <{user.email}>"},
			{Name: "picture", Value: "{user.avatar}"},
			{Name: "way", Value: "{user.provider}"},
		},
	})
	cs, err := oauth.NewClients(list)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func redirectURIs(t testing.TB, raws ...string) []oauth.RedirectURI {
	var list []oauth.RedirectURI
	for _, raw := range raws {
		r, err := oauth.ParseRedirectURI(raw)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func failAuthURLs(t testing.TB, raws ...string) []oauth.FailAuthURL {
	var list []oauth.FailAuthURL
	for _, raw := range raws {
		f, err := oauth.ParseFailAuthURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
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

// replaceSessions forgets what is in memory, as a restart does.
func (w *world) replaceSessions() {
	cache := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
	w.t.Cleanup(cache.Close)
	w.server.Sessions = session.New(cache, session.Policy{})
}

// An answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

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

// direct asks the API without a network, for what no client sends or no
// server lets through.
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

// token posts to the token endpoint.
func (w *world) token(body url.Values, headers ...string) answer {
	w.t.Helper()
	return w.send(http.MethodPost, "/api/oauth2/token", body.Encode(), append([]string{"Content-Type", form}, headers...)...)
}

// code gets a code from the authorization endpoint.
func (w *world) code(cookie string, query url.Values) string {
	w.t.Helper()
	a := w.get("/api/oauth2/auth?"+query.Encode(), cookie)
	if a.status != http.StatusFound {
		w.t.Fatalf("no code: %d %s", a.status, a.body)
	}
	location, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		w.t.Fatal(err)
	}
	code := location.Query().Get("code")
	if code == "" {
		w.t.Fatalf("no code in %s", location)
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

// wantError holds an answer to an error of the Login API, to the byte.
func wantError(t testing.TB, a answer, status int, code, description string) {
	t.Helper()
	body := fmt.Sprintf(`{"error":{"code":%q,"description":%q,"details":{}}}`+"\n", code, description)
	if a.status != status || a.body != body {
		t.Errorf("got %d %s\nwant %d %s", a.status, a.body, status, body)
	}
	wantHeaders(t, a, "Content-Type", "application/json", "Cache-Control", "no-store",
		"Referrer-Policy", "no-referrer", "X-Content-Type-Options", "nosniff", "Location", "", "Set-Cookie", "")
}

func wantHeaders(t testing.TB, a answer, headers ...string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if got := strings.Join(a.header.Values(headers[i]), ", "); got != headers[i+1] {
			t.Errorf("%s is %q, want %q", headers[i], got, headers[i+1])
		}
	}
}

// accessToken reads the answer of the token endpoint and verifies its token.
func (w *world) accessToken(a answer, alg keys.Algorithm) oauth.Claims {
	w.t.Helper()
	if a.status != http.StatusOK {
		w.t.Fatalf("no token: %d %s", a.status, a.body)
	}
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		w.t.Fatal(err)
	}
	payload, err := w.server.Keys.Verify(w.t.Context(), body.Token, alg)
	if err != nil {
		w.t.Fatal(err)
	}
	var claims oauth.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		w.t.Fatal(err)
	}
	return claims
}

// clock stands still until told otherwise.
type clock struct{ passed atomic.Int64 }

func (c *clock) Now() time.Time           { return start.Add(time.Duration(c.passed.Load())) }
func (c *clock) Advance(by time.Duration) { c.passed.Add(int64(by)) }

// store is one that can be down.
type store struct {
	storage.Store
	down atomic.Bool
}

func (s *store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if s.down.Load() {
		return nil, false, fmt.Errorf("dialing: %w", storage.ErrUnavailable)
	}
	return s.Store.Get(ctx, key)
}

func (s *store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if s.down.Load() {
		return fmt.Errorf("dialing: %w", storage.ErrUnavailable)
	}
	return s.Store.Put(ctx, key, value, lifetime)
}

func (s *store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if s.down.Load() {
		return nil, false, fmt.Errorf("dialing: %w", storage.ErrUnavailable)
	}
	return s.Store.Take(ctx, key)
}

func (s *store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if s.down.Load() {
		return false, fmt.Errorf("dialing: %w", storage.ErrUnavailable)
	}
	return s.Store.CompareAndSwap(ctx, key, old, next, lifetime)
}

// people are the users of now: all that sign in, but for those who are gone.
type people struct{ gone sync.Map }

func (p *people) Current(u session.User) (session.User, bool) {
	_, gone := p.gone.Load(u.Subject)
	return u, !gone
}
