package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.uber.org/zap"
	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/signin"
)

const (
	// discoveryLifetime is how long a provider's metadata are used. Its keys are read
	// again with them, so that a withdrawn key is not accepted longer.
	discoveryLifetime = time.Hour

	// longestBackoff is the longest wait before another request to a provider that
	// does not answer.
	longestBackoff = time.Minute

	maxProviderAnswer = 1 << 20 // bytes
	maxProviderHeader = 64 << 10
)

// metadata is a provider's metadata.
type metadata struct {
	provider    *oidc.Provider
	endpoint    oauth2.Endpoint
	keys        oidc.KeySet
	logoutKeys  oidc.KeySet // the same, which anybody can have read
	algorithms  []string
	known       []string // the prompts that it takes; nil: it does not say
	namesItself bool     // its answers have `iss` (RFC 9207)
}

// prompts reports whether the provider supports a prompt value, as far as its
// metadata tells.
func (f *metadata) prompts(prompt string) bool {
	return f.known == nil || slices.Contains(f.known, prompt)
}

// asymmetric are the algorithms that an ID token may be signed with: with the others,
// the client secret could sign one.
var asymmetric = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// discovery returns the provider's metadata. It requests them if they are missing or
// old; concurrent callers wait for one request. After a failure the next request
// waits for some time, and until then callers get the same failure.
func (p *Method) discovery(ctx context.Context) (*metadata, error) {
	p.mu.Lock()
	if !p.o.Now().Before(p.again) && p.looking == nil {
		p.looking = make(chan struct{})
		// In a goroutine of its own, since others wait for it, too, even if ctx ends.
		go p.fetchMetadata(p.looking) //nolint:gosec // see above
	}
	found, looking := p.found, p.looking
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	if looking != nil {
		select {
		case <-looking:
		case <-ctx.Done():
			return nil, &signin.DownError{RetryAfter: time.Second, Cause: context.Cause(ctx)}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	return nil, &signin.DownError{RetryAfter: max(p.again.Sub(p.o.Now()), time.Second), Cause: p.failure}
}

// fetchMetadata requests the metadata, and closes done.
func (p *Method) fetchMetadata(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), providerPatience)
	defer cancel()
	found, err := p.discover(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(done)
	p.looking = nil
	if err == nil {
		p.found, p.failure, p.failed, p.again = found, nil, 0, p.o.Now().Add(discoveryLifetime)
		return
	}
	wait := min(time.Second<<min(p.failed, 10), longestBackoff)
	p.failure, p.failed, p.again = err, p.failed+1, p.o.Now().Add(wait)
	p.o.Log.Warn("the provider does not answer correctly; it is asked again at the next sign-in",
		zap.String("signin", p.o.ID), zap.String("issuer", p.o.Issuer), zap.Duration("not_before", wait), zap.Error(err))
}

func (p *Method) discover(ctx context.Context) (*metadata, error) {
	ctx = oidc.ClientContext(ctx, p.Client)
	provider, err := oidc.NewProvider(ctx, p.o.Issuer)
	if mismatch := (*oidc.IssuerMismatchError)(nil); errors.As(err, &mismatch) {
		return nil, fmt.Errorf("%w: %w", signin.ErrMisconfigured, bounded("discovery", err))
	}
	if err != nil {
		return nil, bounded("discovery", err)
	}
	var says struct {
		JWKS        string   `json:"jwks_uri"`
		Algorithms  []string `json:"id_token_signing_alg_values_supported"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
		Prompts     []string `json:"prompt_values_supported"`
		NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&says); err != nil {
		return nil, bounded("discovery", err)
	}
	f := &metadata{
		provider: provider, endpoint: provider.Endpoint(), known: says.Prompts, namesItself: says.NamesItself,
		keys:       oidc.NewRemoteKeySet(ctx, says.JWKS),
		logoutKeys: oidc.NewRemoteKeySet(oidc.ClientContext(ctx, limited(p.Client, p.keyReads, p.o.Now)), says.JWKS),
	}
	for name, endpoint := range map[string]string{
		"authorization_endpoint": f.endpoint.AuthURL, "token_endpoint": f.endpoint.TokenURL, "jwks_uri": says.JWKS,
		"userinfo_endpoint": provider.UserInfoEndpoint(),
	} {
		if endpoint == "" && name == "userinfo_endpoint" {
			continue // optional
		}
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" || !oauth.KeepsSecrets(u) {
			return nil, fmt.Errorf("discovery: %s is missing, or no https address", name)
		}
	}
	for _, alg := range says.Algorithms {
		if slices.Contains(asymmetric, alg) {
			f.algorithms = append(f.algorithms, alg)
		}
	}
	if f.algorithms == nil {
		f.algorithms = []string{oidc.RS256} // which every provider has to have
	}
	// Said, not tried: an attempt that fails may cost the code.
	switch {
	case p.o.Secret.value == "":
		f.endpoint.AuthStyle = oauth2.AuthStyleInParams
	case says.AuthMethods == nil, slices.Contains(says.AuthMethods, "client_secret_basic"):
		f.endpoint.AuthStyle = oauth2.AuthStyleInHeader
	case slices.Contains(says.AuthMethods, "client_secret_post"):
		f.endpoint.AuthStyle = oauth2.AuthStyleInParams
	default:
		return nil, errors.New("discovery: the provider takes no client_secret; of its token_endpoint_auth_methods_supported none is known")
	}
	return f, nil
}

// watchedKeys records that the keys could not be read. The library does not
// distinguish that from a wrong signature.
type watchedKeys struct {
	oidc.KeySet
	down error
}

func (k *watchedKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if err != nil && (strings.HasPrefix(err.Error(), "fetching keys") || ctx.Err() != nil) {
		k.down = err
	}
	return payload, err
}

// newProviderClient returns a client for a server that may be slow, endless or hostile.
func newProviderClient() *http.Client {
	return &http.Client{
		Timeout: providerPatience,
		Transport: boundedAnswers{&http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: providerPatience,
			MaxResponseHeaderBytes: maxProviderHeader, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
		}},
		// None of these endpoints has a reason to redirect. An attacker who could
		// make the provider redirect would choose where secrets are sent.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// boundedAnswers bounds the body of an answer, decompressed.
type boundedAnswers struct{ http.RoundTripper }

func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxProviderAnswer)
	}
	return answer, err
}

// bounded shortens an error of a library, whose text may contain the whole answer of
// the provider.
func bounded(doing string, err error) error {
	return fmt.Errorf("%s: %s", doing, userinfo.Excerpt(err.Error()))
}

// CloseIdleConnections has [http.Client] reach the connections.
func (b boundedAnswers) CloseIdleConnections() {
	(&http.Client{Transport: b.RoundTripper}).CloseIdleConnections()
}
