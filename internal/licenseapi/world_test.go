package licenseapi_test

import (
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
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/httpapi/httpapitest"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oauth/oauthtest"
	"github.com/caddy-sso/caddy-sso/session"
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

// vault holds the signature key of all tests: making it takes longer than using
// it.
var vault = sync.OnceValue(keystest.NewVault)

// A world is the API and the check of activations, over an authorization server
// in memory, before a backend that remembers what it got.
type world struct {
	*oauthtest.World
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
	w := &world{World: oauthtest.New(t, start, issuer, clients(t))}
	w.Server.Licenses = licenses(t, w.Server.Clients, "")
	core, log := observer.New(zapcore.DebugLevel)
	w.log = log
	signature := licenseapi.SignatureKeyVault(vault())
	w.api = &licenseapi.API{
		Server: w.Server,
		Keys: map[string]licenseapi.APIKey{
			"key":     {Shared: licenseapi.NewSharedKey(sharedKey)},
			"other":   {Shared: licenseapi.NewSharedKey("another shared key")},
			"revoked": {Shared: licenseapi.NewSharedKey(sharedKey), Revoked: true},
			"reads":   {Shared: licenseapi.NewSharedKey(sharedKey), ReadOnly: true},
		},
		BearerClients: []string{"3"},
		Sign:          signature.Sign, PublicKey: signature.Public,
		Now: w.Clock.Now, Log: zap.New(core),
	}
	w.activation = &licenseapi.Activation{
		Server: w.Server, From: func(*http.Request) oauth.Origin { return "192.0.2.1" }, Log: zap.New(core),
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
		{ID: "3", Secret: oauth.NewSecret("a secret of many letters"), TokenAlg: keys.ES256, RedirectURIs: redirectURIs(t, "https://back.example/"), Audiences: []string{"3", "else"}},
		{ID: "4", Secret: oauth.NewSecret("a secret of many letters"), TokenAlg: keys.ES256, RedirectURIs: redirectURIs(t, "https://back.example/"), Audiences: []string{"4"}},
	}
}

func licenses(t testing.TB, cs *oauth.Clients, defaultType string) *oauth.Licenses {
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
		{Code: "acme", Methods: []string{"acme-azure"}, EmailDomains: []string{"acme.example"}},
		{Code: "other", Methods: []string{"other-okta"}},
	}, nil, defaultType)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func redirectURIs(t testing.TB, raws ...string) []oauth.RedirectURI {
	return oauthtest.URIs(t, func(raw string) (oauth.RedirectURI, error) {
		return oauth.ParseRedirectURI(strings.NewReplacer("<", "%3C", ">", "%3E").Replace(raw))
	}, raws...)
}

// ServeHTTP does what the gate does, before a backend.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if answer := w.api.Endpoint(httpapi.CanonicalPath(r.URL.Path)); answer != nil {
		answer(rw, r)
		return
	}
	activated, done := w.activation.Check(rw, r)
	if done {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.T.Error(err)
	}
	w.activated = activated
	w.backend = append(w.backend, received{r, string(body)})
	io.WriteString(rw, "the backend") //nolint:errcheck // the client went away
}

// An answer is a response, read to its end.
type answer = httpapitest.Answer

// send asks the server. Headers are pairs; "-" takes one away.
func (w *world) send(method, target, body string, headers ...string) answer {
	w.T.Helper()
	r := httpapitest.NewRequest(w.T, method, w.url+target, body)
	setHeaders(r.Header, headers)
	return httpapitest.Send(w.T, r)
}

// direct asks without a network, for what no client sends.
func (w *world) direct(r *http.Request) answer { return httpapitest.Serve(w, r) }

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
func (w *world) signed() []string { return signedAt(w.Clock.Now().UTC().Format(http.TimeFormat)) }

func signedAt(date string) []string {
	return []string{"Date", date, "Authorization", licenseapi.Authorization("key", licenseapi.NewSharedKey(sharedKey), date)}
}

// link asks for a URL, and returns its query.
func (w *world) link(params ...string) url.Values {
	w.T.Helper()
	got := w.send(http.MethodGet, ssoURL+"?"+query(params...), "", w.signed()...)
	raw, ok := strings.CutPrefix(got.Body, `{"url":"`+issuer+`/oauth2/authorize?`)
	if got.Status != http.StatusOK || !ok {
		w.T.Fatalf("no link: %d %s", got.Status, got.Body)
	}
	q, err := url.ParseQuery(strings.TrimSuffix(raw, `"}`))
	if err != nil {
		w.T.Fatal(err)
	}
	return q
}

// query is the query for product demo of acme, changed as told: name, value;
// "-" leaves one out.
func query(changes ...string) string {
	return httpapitest.Changed(url.Values{"product": {"demo"}, "customer_account_code": {"acme"}}, changes).Encode()
}

// authorization is what a link leads to.
func (w *world) authorization(q url.Values) *oauth.Authorization {
	w.T.Helper()
	a, refusal := w.Server.CheckOpenID(w.T.Context(), oauth.OpenIDRequest{
		ResponseType: q.Get("response_type"), ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"),
		State: q.Get("state"), Scope: []string{"openid"}, Nonce: q.Get("nonce"),
		Handle: q.Get("handle"), CustomerAccount: q.Get("customer_account_code"),
	})
	if refusal != nil {
		w.T.Fatal(refusal)
	}
	return a
}

func (w *world) signIn(u session.User) oauth.SignedIn {
	w.T.Helper()
	_, in := w.SignIn(u)
	return in
}

// code is one for the activation of demo by ada.
func (w *world) code(params ...string) string {
	w.T.Helper()
	code, refusal := w.Server.IssueCode(w.T.Context(), w.authorization(w.link(params...)), w.signIn(ada), "192.0.2.1")
	if refusal != nil {
		w.T.Fatal(refusal)
	}
	return code
}

// tokens are those of the token grant.
func (w *world) tokens(params ...string) *oauth.Tokens {
	w.T.Helper()
	tokens, refusal := w.Server.IssueTokens(w.T.Context(), w.authorization(w.link(append(params, "response_type", "token")...)), w.signIn(ada), "192.0.2.1")
	if refusal != nil {
		w.T.Fatal(refusal)
	}
	return tokens
}

// wantError holds an answer to an error of the API, to the byte.
func wantError(t testing.TB, a answer, status int, code, message string) {
	t.Helper()
	body := fmt.Sprintf(`{"status":%d,"code":%q,"message":%q}`, status, code, message)
	if a.Status != status || a.Body != body {
		t.Errorf("got %d %s\nwant %d %s", a.Status, a.Body, status, body)
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the headers are %v", a.Header)
	}
}

// wantSigned holds an answer to its signature.
func (w *world) wantSigned(a answer) {
	w.T.Helper()
	served := w.send(http.MethodGet, licenseapi.PublicKeyPath, "")
	block, _ := pem.Decode([]byte(served.Body))
	if block == nil || block.Type != "PUBLIC KEY" {
		w.T.Fatalf("no key: %d %s", served.Status, served.Body)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		w.T.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(a.Header.Get("LicenseSignature"))
	if err != nil {
		w.T.Fatal(err)
	}
	sum := sha256.Sum256([]byte(a.Body))
	if err := rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, sum[:], signature); err != nil {
		w.T.Error(err)
	}
}
