package signin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// fakeProvider is an OpenID Connect provider that can be made to lie.
type fakeProvider struct {
	t      testing.TB
	server *httptest.Server

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	kid      string
	metadata map[string]any // beyond the usual; nil removes
	claims   map[string]any // of the ID token, beyond the usual; nil removes
	userinfo map[string]any
	token    map[string]any // the answer of the token endpoint, beyond the usual
	sign     func(payload []byte) string
	handle   map[string]http.HandlerFunc // by path, in place of the usual
	asked    map[string]int              // by path
	form     url.Values                  // of the last request of the token endpoint
	basic    string                      // the user name of its Authorization
}

const fakeClient = "sso"

func newFakeProvider(t testing.TB) *fakeProvider {
	f := &fakeProvider{t: t, kid: "1", asked: map[string]int{}, handle: map[string]http.HandlerFunc{}}
	f.rotate("1")
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// set changes what the provider does.
func (f *fakeProvider) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeProvider) times(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

func (f *fakeProvider) rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	f.set(func() { f.key, f.kid = key, kid })
}

func (f *fakeProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[r.URL.Path]++
	if handle := f.handle[r.URL.Path]; handle != nil {
		handle(w, r)
		return
	}
	issuer := f.server.URL
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		f.answer(w, merged(map[string]any{
			"issuer": issuer, "authorization_endpoint": issuer + "/auth", "token_endpoint": issuer + "/token",
			"jwks_uri": issuer + "/jwks", "userinfo_endpoint": issuer + "/userinfo", "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		}, f.metadata))
	case "/jwks":
		f.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.key.Public(), KeyID: f.kid, Algorithm: "ES256", Use: "sig"}}})
	case "/token":
		if err := r.ParseForm(); err != nil {
			f.t.Error(err)
		}
		f.form = r.PostForm
		f.basic, _, _ = r.BasicAuth()
		payload, err := json.Marshal(merged(map[string]any{
			"iss": issuer, "aud": fakeClient, "sub": "ann-at-acme", "nonce": fakeDeparture.Nonce,
			"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
		}, f.claims))
		if err != nil {
			f.t.Error(err)
		}
		sign := f.sign
		if sign == nil {
			sign = f.es256
		}
		f.answer(w, merged(map[string]any{"access_token": "an access token", "token_type": "Bearer", "id_token": sign(payload)}, f.token))
	case "/userinfo":
		f.answer(w, merged(map[string]any{"sub": "ann-at-acme"}, f.userinfo))
	default:
		http.NotFound(w, r)
	}
}

// merged is usual with the changes: nil removes.
func merged(usual, changes map[string]any) map[string]any {
	maps.Copy(usual, changes)
	maps.DeleteFunc(usual, func(_ string, v any) bool { return v == nil })
	return usual
}

func (f *fakeProvider) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		f.t.Log(err) // who asked went away
	}
}

func (f *fakeProvider) es256(payload []byte) string {
	return f.signed(jose.ES256, jose.JSONWebKey{Key: f.key, KeyID: f.kid}, payload)
}

func (f *fakeProvider) signed(alg jose.SignatureAlgorithm, key any, payload []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		f.t.Error(err)
		return ""
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		f.t.Error(err)
		return ""
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		f.t.Error(err)
	}
	return compact
}

// way is the provider, as a configuration has it.
func (f *fakeProvider) way(change ...func(*ProviderOptions)) *Provider {
	o := ProviderOptions{
		ID: "acme", Name: "Acme", Issuer: f.server.URL, ClientID: fakeClient, Secret: NewProviderSecret(fakeSecret),
		Claims: ProviderClaims{Groups: "groups"},
	}
	for _, c := range change {
		c(&o)
	}
	p, err := NewProvider(o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(p.Close)
	return p
}

const fakeSecret = "a secret of 32 bytes and of more"

var fakeDeparture = ProviderRequest{
	RedirectURI: "http://localhost:8080/sso/callback/acme", Nonce: "the nonce", Verifier: "the-verifier-which-is-at-least-43-characters-long",
}

var goodAnswer = url.Values{"code": {"good"}, "state": {"s"}}

func (f *fakeProvider) challenge() string { return oauth.Challenge(fakeDeparture.Verifier) }

func (f *fakeProvider) String() string { return fmt.Sprintf("provider at %s", f.server.URL) }
