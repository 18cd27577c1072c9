// Package providertest is an OpenID Connect provider for tests.
package providertest

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
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/signin"
)

// Provider is an OpenID Connect provider that can be made to lie.
type Provider struct {
	T      testing.TB
	Server *httptest.Server

	mu       sync.Mutex
	Key      *ecdsa.PrivateKey
	Kid      string
	Metadata map[string]any // beyond the usual; nil removes
	Claims   map[string]any // of the ID token, beyond the usual; nil removes
	Userinfo map[string]any
	Token    map[string]any // the answer of the token endpoint, beyond the usual
	Sign     func(payload []byte) string
	Handle   map[string]http.HandlerFunc // by path, in place of the usual
	asked    map[string]int              // by path
	Form     url.Values                  // of the last request of the token endpoint
	Basic    string                      // the user name of its Authorization
}

const ClientID = "sso"

func New(t testing.TB) *Provider {
	f := &Provider{T: t, Kid: "1", asked: map[string]int{}, Handle: map[string]http.HandlerFunc{}}
	f.Rotate("1")
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Server.Close)
	return f
}

// Set changes what the provider does.
func (f *Provider) Set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *Provider) Times(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

func (f *Provider) Rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.T.Fatal(err)
	}
	f.Set(func() { f.Key, f.Kid = key, kid })
}

func (f *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[r.URL.Path]++
	if handle := f.Handle[r.URL.Path]; handle != nil {
		handle(w, r)
		return
	}
	issuer := f.Server.URL
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		f.Answer(w, Merged(map[string]any{
			"issuer": issuer, "authorization_endpoint": issuer + "/auth", "token_endpoint": issuer + "/token",
			"jwks_uri": issuer + "/jwks", "userinfo_endpoint": issuer + "/userinfo", "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		}, f.Metadata))
	case "/jwks":
		f.Answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.Key.Public(), KeyID: f.Kid, Algorithm: "ES256", Use: "sig"}}})
	case "/token":
		if err := r.ParseForm(); err != nil {
			f.T.Error(err)
		}
		f.Form = r.PostForm
		f.Basic, _, _ = r.BasicAuth()
		payload, err := json.Marshal(Merged(map[string]any{
			"iss": issuer, "aud": ClientID, "sub": "ann-at-acme", "nonce": Request.Nonce,
			"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
		}, f.Claims))
		if err != nil {
			f.T.Error(err)
		}
		sign := f.Sign
		if sign == nil {
			sign = f.ES256
		}
		f.Answer(w, Merged(map[string]any{"access_token": "an access token", "token_type": "Bearer", "id_token": sign(payload)}, f.Token))
	case "/userinfo":
		f.Answer(w, Merged(map[string]any{"sub": "ann-at-acme"}, f.Userinfo))
	default:
		http.NotFound(w, r)
	}
}

// Merged is usual with the changes: nil removes.
func Merged(usual, changes map[string]any) map[string]any {
	maps.Copy(usual, changes)
	maps.DeleteFunc(usual, func(_ string, v any) bool { return v == nil })
	return usual
}

func (f *Provider) Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		f.T.Log(err) // who asked went away
	}
}

func (f *Provider) ES256(payload []byte) string {
	return f.Signed(jose.ES256, jose.JSONWebKey{Key: f.Key, KeyID: f.Kid}, payload)
}

func (f *Provider) Signed(alg jose.SignatureAlgorithm, key any, payload []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		f.T.Error(err)
		return ""
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		f.T.Error(err)
		return ""
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		f.T.Error(err)
	}
	return compact
}

// Method is the sign-in method for the provider, as a configuration has it.
func (f *Provider) Method(change ...func(*provider.Options)) *provider.Method {
	o := provider.Options{
		ID: "acme", Name: "Acme", Issuer: f.Server.URL, ClientID: ClientID, Secret: provider.NewSecret(Secret),
		Claims: provider.Claims{Groups: "groups"},
	}
	for _, c := range change {
		c(&o)
	}
	p, err := provider.New(o)
	if err != nil {
		f.T.Fatal(err)
	}
	f.T.Cleanup(p.Close)
	return p
}

const Secret = "a secret of 32 bytes and of more" //nolint:gosec // of this fake alone

var Request = signin.ProviderRequest{
	RedirectURI: "http://localhost:8080/sso/callback/acme", Nonce: "the nonce", Verifier: "the-verifier-which-is-at-least-43-characters-long",
}

var GoodAnswer = url.Values{"code": {"good"}, "state": {"s"}}

func (f *Provider) Challenge() string { return oauth.Challenge(Request.Verifier) }

func (f *Provider) String() string { return fmt.Sprintf("provider at %s", f.Server.URL) }
