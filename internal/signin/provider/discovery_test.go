package provider_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/signin"
)

// start leaves for the provider, and returns how it is down: nil, if it is not.
func start(t *testing.T, p *provider.Method) *signin.DownError {
	t.Helper()
	_, err := p.Start(t.Context(), providertest.Request)
	down := (*signin.DownError)(nil)
	if err != nil && !errors.As(err, &down) {
		t.Fatal(err)
	}
	return down
}

const discoveryPath = "/.well-known/openid-configuration"

func TestAProviderThatIsDownIsAskedAgainLaterAndLater(t *testing.T) {
	f, c := providertest.New(t), new(providertest.Clock)
	core, log := observer.New(zap.WarnLevel)
	f.Handle[discoveryPath] = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret", http.StatusBadGateway) }
	p := f.Method(func(o *provider.Options) { o.Now, o.Log = c.Now, zap.New(core) })
	if f.Times(discoveryPath) != 0 {
		t.Fatal("it was asked before anybody wanted to sign in")
	}
	asked := 0
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		wait := time.Duration(seconds) * time.Second
		asked++
		for range 3 {
			down := start(t, p)
			if down == nil || down.RetryAfter != wait || f.Times(discoveryPath) != asked {
				t.Fatalf("try %d: %v, asked %d times", asked, down, f.Times(discoveryPath))
			}
		}
		c.Advance(wait)
	}
	if n := log.Len(); n != asked {
		t.Errorf("%d lines in the log, for %d failures", n, asked)
	}
	f.Set(func() { delete(f.Handle, discoveryPath) })
	if down := start(t, p); down != nil {
		t.Fatal(down)
	}
	// Once it answered, it is believed for an hour, and for longer while it is down.
	c.Advance(provider.DiscoveryLifetime - time.Second)
	before := f.Times(discoveryPath)
	if down := start(t, p); down != nil || f.Times(discoveryPath) != before {
		t.Fatalf("%v, asked again", down)
	}
	f.Set(func() {
		f.Handle[discoveryPath] = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusBadGateway) }
	})
	c.Advance(time.Second)
	for f.Times(discoveryPath) == before {
		if down := start(t, p); down != nil {
			t.Fatal(down)
		}
	}
}

func TestManyWaitForOneDiscovery(t *testing.T) {
	f := providertest.New(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	f.Handle[discoveryPath] = func(w http.ResponseWriter, _ *http.Request) {
		close(arrived) // a second one would panic
		<-answer
		f.Answer(w, map[string]any{"issuer": "another"})
	}
	p := f.Method()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := p.Start(t.Context(), providertest.Request); err == nil || !strings.Contains(err.Error(), "did not match") {
				t.Errorf("%v", err)
			}
		})
	}
	<-arrived
	close(answer)
	all.Wait()
}

func TestAProviderThatSaysWhatCannotBeIsNotBelieved(t *testing.T) {
	for name, metadata := range map[string]map[string]any{
		"another issuer":            {"issuer": "https://evil.example"},
		"no token endpoint":         {"token_endpoint": nil},
		"a token endpoint by http":  {"token_endpoint": "http://acme.example/token"},
		"keys by http":              {"jwks_uri": "http://acme.example/jwks"},
		"keys in a file":            {"jwks_uri": "file:///etc/passwd"},
		"a page that runs a script": {"authorization_endpoint": "javascript:alert(1)"},
		"a page without a host":     {"authorization_endpoint": "/auth"},
		"userinfo by http":          {"userinfo_endpoint": "http://acme.example/userinfo"},
		"no method with secret":     {"token_endpoint_auth_methods_supported": []string{"tls_client_auth"}},
		"a list that is none":       {"prompt_values_supported": "login"},
	} {
		f := providertest.New(t)
		f.Metadata = metadata
		if start(t, f.Method()) == nil {
			t.Errorf("%s is believed", name)
		}
	}
}

// endless answers without end, and with zeros, which compress well.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"issuer":"`) //nolint:errcheck // until the other side has enough
	block := []byte(strings.Repeat("x", 64<<10))
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// Class 24: neither an answer without end nor one that never comes keeps us.
func TestClass24AHostileProviderNeitherFloodsNorHangs(t *testing.T) {
	ask := func(t *testing.T, path string, handle http.HandlerFunc) error {
		f := providertest.New(t)
		defer func() {
			if f.Times("/elsewhere") != 0 {
				t.Error("it is followed")
			}
		}()
		f.Handle[path] = handle
		p := f.Method()
		if path != discoveryPath && start(t, p) != nil {
			t.Fatal("it is down")
		}
		p.Client.Timeout = 200 * time.Millisecond
		_, err := p.Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
		return err
	}
	for _, path := range []string{discoveryPath, "/token", "/jwks", "/userinfo"} {
		t.Run(path[1:], func(t *testing.T) {
			for name, handle := range map[string]http.HandlerFunc{
				"an answer without end": endless,
				"no answer": func(_ http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body) //nolint:errcheck // without it the server does not see that the client has gone
					<-r.Context().Done()
				},
				"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
				"a header without end": func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("X", strings.Repeat("x", 1<<20))
				},
				"an answer of half": func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Length", "100")
					io.WriteString(w, "{") //nolint:errcheck // cut short on purpose
				},
				"nothing": func(http.ResponseWriter, *http.Request) {},
				"a list":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") }, //nolint:errcheck // a recorder of the test
			} {
				err := ask(t, path, handle)
				if err == nil || len(err.Error()) > 500 {
					t.Errorf("%s: %v", name, err)
				}
				if !errors.As(err, new(*signin.DownError)) && !errors.Is(err, signin.ErrAnswer) && !errors.As(err, new(*signin.RefusedError)) {
					t.Errorf("%s is taken for our own fault: %v", name, err)
				}
			}
		})
	}
}

// An answer that is too long is refused for that alone.
func TestAnAnswerHasABound(t *testing.T) {
	for size, taken := range map[int]bool{provider.MaxProviderAnswer / 2: true, provider.MaxProviderAnswer: false} {
		f := providertest.New(t)
		f.Metadata = map[string]any{"filling": strings.Repeat("x", size)}
		if down := start(t, f.Method()); (down == nil) != taken {
			t.Errorf("%d bytes: %v", size, down)
		}
	}
}

// With the others, who knows the client secret could sign.
func TestOnlyAsymmetricAlgorithmsAreTaken(t *testing.T) {
	for name, c := range map[string]struct{ says, want []string }{
		"some of each": {[]string{"HS256", "none", "PS256", "EdDSA", "XS1"}, []string{"PS256", "EdDSA"}},
		"none of them": {[]string{"HS256", "none"}, []string{"RS256"}},
		"nothing":      {nil, []string{"RS256"}},
	} {
		f := providertest.New(t)
		f.Metadata = map[string]any{"id_token_signing_alg_values_supported": c.says}
		found, err := f.Method().Algorithms(t.Context())
		if err != nil || !slices.Equal(found, c.want) {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

func TestOnlySoManyWaitForAProvider(t *testing.T) {
	f := providertest.New(t)
	p := f.Method()
	for range provider.MaxFinishing {
		p.Finishing() <- struct{}{}
	}
	if _, err := p.Finish(t.Context(), providertest.Request, providertest.GoodAnswer); !errors.Is(err, signin.ErrBusy) || f.Times("/token") != 0 {
		t.Errorf("%v, asked %d times", err, f.Times("/token"))
	}
	<-p.Finishing()
	if _, err := p.Finish(t.Context(), providertest.Request, providertest.GoodAnswer); err != nil {
		t.Error(err)
	}
	if len(p.Finishing()) != provider.MaxFinishing-1 {
		t.Error("it keeps its place")
	}
}

func TestKeysMayBeRotatedAndTakenBack(t *testing.T) {
	f, c := providertest.New(t), new(providertest.Clock)
	c.Ms.Store(time.Now().UnixMilli())
	p := f.Method(func(o *provider.Options) { o.Now = c.Now })
	finish := func() error {
		_, err := p.Finish(t.Context(), providertest.Request, providertest.GoodAnswer)
		return err
	}
	for _, kid := range []string{"1", "2", "3"} {
		f.Rotate(kid)
		// The library may still hand out the answer that it was about to forget:
		// a key that changes within that moment is seen by the next sign-in.
		if finish() != nil {
			time.Sleep(time.Millisecond)
		}
		for range 3 {
			if err := finish(); err != nil {
				t.Fatalf("key %s: %v", kid, err)
			}
		}
	}
	if n := f.Times("/jwks"); n != 3 {
		t.Errorf("the keys were read %d times", n)
	}
	// A key that is taken back is believed an hour longer at most.
	old := *providertest.New(t)
	f.Set(func() {
		old.Key, old.Kid = f.Key, f.Kid
		f.Sign = old.ES256
	})
	f.Rotate("4")
	if err := finish(); err != nil {
		t.Fatalf("the keys are read at every sign-in: %v", err)
	}
	c.Advance(provider.DiscoveryLifetime)
	f.Set(func() {
		f.Claims = map[string]any{"iat": c.Now().Unix(), "exp": c.Now().Add(time.Minute).Unix()}
	})
	before := f.Times(discoveryPath)
	deadline := time.Now().Add(10 * time.Second)
	for finish() == nil || f.Times(discoveryPath) == before {
		if time.Now().After(deadline) {
			t.Fatal("a key that was taken back is believed")
		}
	}
}

func TestAnIssuerIsAnAddressThatKeepsSecrets(t *testing.T) {
	for raw, right := range map[string]bool{
		"https://acme.example": true, "https://acme.example/v2.0": true, "https://acme.example/": true, "http://localhost:1": true, "http://127.0.0.1/x": true,
		"": false, "acme.example": false, "http://acme.example": false, "https://": false, "ftp://acme.example": false, "https://a@acme.example": false,
		"https://acme.example?x": false, "https://acme.example#x": false, "https://acme.example/\n": false,
	} {
		if err := provider.CheckIssuer(raw); (err == nil) != right {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
