package licenseapi_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
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
	"github.com/caddy-sso/caddy-sso/licenseapi"
	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

const (
	issuer    = "https://login.example"
	sharedKey = "kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja" // of the published test vector
	ssoURL    = "/api/v4/sso_url"
	activate  = "/api/v4/activate_license"
)

var (
	start = time.Date(2011, 6, 7, 20, 51, 35, 0, time.UTC) // the Date of the published test vector
	ada   = session.User{Subject: "7e0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "ada", Email: "ada@acme.example", Groups: []string{"makers"}, Signin: "acme-azure"}
)

// vault holds the keys of all tests: making them takes longer than using them.
var vault = sync.OnceValue(keys.NewMemoryVault)

// A world is the API and the check of activations, with store and clock, before
// a backend that remembers what it got.
type world struct {
	t          testing.TB
	clock      *clock
	store      *store
	server     *oauth.Server
	api        *licenseapi.API
	activation *licenseapi.Activation
	log        *observer.ObservedLogs
	url        string

	backend   []received
	activated *oauth.Activation // of the last request that the backend got
}

type received struct {
	r    *http.Request
	body string
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, clock: new(clock)}
	w.store = &store{Store: memory.New(memory.Options{Now: w.clock.Now})}
	cache := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now})
	t.Cleanup(cache.Close)
	sessions := session.New(cache, session.Policy{})
	list := clients(t)
	cs, err := oauth.NewClients(list)
	if err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zapcore.DebugLevel)
	w.log = log
	w.server = &oauth.Server{
		Issuer: issuer, Clients: cs, Licenses: licenses(t, cs), Sessions: sessions,
		Codes: codes.NewMemory(codes.Options{Now: w.clock.Now}),
		Keys: keys.NewRing(vault(), keys.Options{
			Now: func() time.Time { return start }, Algorithms: []keys.Algorithm{keys.ES256},
		}),
		Grants: oauth.NewGrants(w.store, sessions), Users: people{}, Store: w.store, Now: w.clock.Now,
	}
	signature := licenseapi.SignatureKeyVault(vault())
	w.api = &licenseapi.API{
		Server: w.server,
		Keys: map[string]licenseapi.APIKey{
			"key":     {Shared: licenseapi.NewSharedKey(sharedKey)},
			"other":   {Shared: licenseapi.NewSharedKey("another shared key")},
			"revoked": {Shared: licenseapi.NewSharedKey(sharedKey), Revoked: true},
			"reads":   {Shared: licenseapi.NewSharedKey(sharedKey), ReadOnly: true},
		},
		BearerClients: []string{"3"},
		Sign:          signature.Sign, PublicKey: signature.Public,
		Now: w.clock.Now, Log: zap.New(core),
	}
	w.activation = &licenseapi.Activation{
		Server: w.server, From: func(*http.Request) oauth.Origin { return "192.0.2.1" }, Log: zap.New(core),
	}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func clients(t testing.TB) []*oauth.Client {
	return []*oauth.Client{
		{ID: "1", Public: true, TokenAlg: keys.ES256, RedirectURIs: redirectURIs(t, "https://app.example/sso"), Audiences: []string{"1"}},
		{ID: "2", Public: true, TokenAlg: keys.ES256, RedirectURIs: redirectURIs(t, "https://off.example/sso"), Audiences: []string{"2"}, Disabled: true},
		{ID: "3", Secret: oauth.NewSecret("s"), TokenAlg: keys.ES256, RedirectURIs: redirectURIs(t, "https://back.example/"), Audiences: []string{"3", "else"}},
		{ID: "4", Secret: oauth.NewSecret("s"), TokenAlg: keys.ES256, RedirectURIs: redirectURIs(t, "https://back.example/"), Audiences: []string{"4"}},
	}
}

func licenses(t testing.TB, cs *oauth.Clients) *oauth.Licenses {
	client := func(id string) *oauth.Client {
		c, _ := cs.Get(id)
		return c
	}
	both := []string{"code", "token"}
	l, err := oauth.NewLicenses([]*oauth.Product{
		{Code: "demo", Client: client("1"), RedirectURIs: redirectURIs(t, "http://localhost", "https://app.example/sso?a=<b>&c"), ResponseTypes: both, Accounts: []string{"acme", "other"}},
		{Code: "tool", Client: client("1"), RedirectURIs: redirectURIs(t, "acme-tool:/callback"), ResponseTypes: []string{"code"}, Accounts: []string{"acme"}},
		{Code: "back", Client: client("3"), RedirectURIs: redirectURIs(t, "http://localhost"), ResponseTypes: both, Accounts: []string{"acme"}},
		{Code: "off", Client: client("2"), RedirectURIs: redirectURIs(t, "https://off.example/sso"), ResponseTypes: both, Accounts: []string{"acme"}},
	}, []*oauth.CustomerAccount{
		{Code: "acme", Ways: []string{"acme-azure"}, EmailDomains: []string{"acme.example"}},
		{Code: "other", Ways: []string{"other-okta"}},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func redirectURIs(t testing.TB, raws ...string) []oauth.RedirectURI {
	var list []oauth.RedirectURI
	for _, raw := range raws {
		r, err := oauth.ParseProductRedirectURI(strings.NewReplacer("<", "%3C", ">", "%3E").Replace(raw))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// ServeHTTP does what the gate does, before a backend.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if endpoint := w.api.Endpoint(r.URL.Path); endpoint != nil {
		endpoint(rw, r)
		return
	}
	activated, done := w.activation.Check(rw, r)
	if done {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	w.activated = activated
	w.backend = append(w.backend, received{r, string(body)})
	io.WriteString(rw, "the backend") //nolint:errcheck // the client went away
}

// An answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// send asks the server. Headers are pairs; "-" takes one away.
func (w *world) send(method, target, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	setHeaders(r.Header, headers)
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

// direct asks without a network, for what no client sends.
func (w *world) direct(r *http.Request) answer {
	w.t.Helper()
	recorder := httptest.NewRecorder()
	w.ServeHTTP(recorder, r.WithContext(w.t.Context()))
	return answer{recorder.Code, recorder.Header(), recorder.Body.String()}
}

func setHeaders(h http.Header, headers []string) {
	for i := 0; i < len(headers); i += 2 {
		switch name, value := http.CanonicalHeaderKey(headers[i]), headers[i+1]; value {
		case "-":
			delete(h, name)
		default:
			h[name] = append(h[name], value)
		}
	}
}

// signed are the headers that sign a request now.
func (w *world) signed() []string { return signedAt(w.clock.Now().UTC().Format(http.TimeFormat)) }

func signedAt(date string) []string {
	return []string{"Date", date, "Authorization", licenseapi.Authorization("key", licenseapi.NewSharedKey(sharedKey), date)}
}

// link asks for a URL, and returns its query.
func (w *world) link(params ...string) url.Values {
	w.t.Helper()
	got := w.send(http.MethodGet, ssoURL+"?"+query(params...), "", w.signed()...)
	raw, ok := strings.CutPrefix(got.body, `{"url":"`+issuer+`/oauth2/authorize?`)
	if got.status != http.StatusOK || !ok {
		w.t.Fatalf("no link: %d %s", got.status, got.body)
	}
	q, err := url.ParseQuery(strings.TrimSuffix(raw, `"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// query is the query for product demo of acme, changed as told: name, value;
// "-" leaves one out.
func query(changes ...string) string {
	q := url.Values{"product": {"demo"}, "customer_account_code": {"acme"}}
	for i := 0; i < len(changes); i += 2 {
		if q.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			q.Del(changes[i])
		}
	}
	return q.Encode()
}

// authorization is what a link leads to.
func (w *world) authorization(q url.Values) *oauth.Authorization {
	w.t.Helper()
	a, refusal := w.server.CheckOpenID(w.t.Context(), oauth.OpenIDRequest{
		ResponseType: q.Get("response_type"), ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"),
		State: q.Get("state"), Scope: []string{"openid"}, Nonce: q.Get("nonce"),
		Handle: q.Get("handle"), CustomerAccount: q.Get("customer_account_code"),
	})
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return a
}

func (w *world) signIn(u session.User) oauth.SignedIn {
	w.t.Helper()
	_, s, err := w.server.Sessions.Begin(w.t.Context(), session.SignIn{User: u})
	if err != nil {
		w.t.Fatal(err)
	}
	return oauth.SignedIn{Session: s, User: u}
}

// code is one for the activation of demo by ada.
func (w *world) code(params ...string) string {
	w.t.Helper()
	code, refusal := w.server.IssueCode(w.t.Context(), w.authorization(w.link(params...)), w.signIn(ada), "192.0.2.1")
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return code
}

// tokens are those of the token grant.
func (w *world) tokens(params ...string) *oauth.Tokens {
	w.t.Helper()
	tokens, refusal := w.server.IssueTokens(w.t.Context(), w.authorization(w.link(append(params, "response_type", "token")...)), w.signIn(ada), "192.0.2.1")
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return tokens
}

// wantError holds an answer to an error of the API, to the byte.
func wantError(t testing.TB, a answer, status int, code, message string) {
	t.Helper()
	body := fmt.Sprintf(`{"status":%d,"code":%q,"message":%q}`, status, code, message)
	if a.status != status || a.body != body {
		t.Errorf("got %d %s\nwant %d %s", a.status, a.body, status, body)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the headers are %v", a.header)
	}
}

// wantSigned holds an answer to its signature.
func (w *world) wantSigned(a answer) {
	w.t.Helper()
	served := w.send(http.MethodGet, licenseapi.PublicKeyPath, "")
	block, _ := pem.Decode([]byte(served.body))
	if block == nil || block.Type != "PUBLIC KEY" {
		w.t.Fatalf("no key: %d %s", served.status, served.body)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		w.t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(a.header.Get("LicenseSignature"))
	if err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(a.body))
	if err := rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, sum[:], signature); err != nil {
		w.t.Error(err)
	}
}

type clock struct{ passed atomic.Int64 }

func (c *clock) Now() time.Time           { return start.Add(time.Duration(c.passed.Load())) }
func (c *clock) Advance(by time.Duration) { c.passed.Add(int64(by)) }

// store is one that can be down.
type store struct {
	storage.Store
	down atomic.Bool
}

var errDown = fmt.Errorf("dialing: %w", storage.ErrUnavailable)

func (s *store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if s.down.Load() {
		return nil, false, errDown
	}
	return s.Store.Get(ctx, key)
}

// people are everybody who signed in.
type people struct{}

func (people) Current(u session.User) (session.User, bool) { return u, true }
