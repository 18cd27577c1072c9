package licenseapi

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// An API answers the License API's own endpoints. Its fields are set once.
type API struct {
	Server *oauth.Server

	// Keys are the API keys, by their value.
	Keys map[string]APIKey

	// BearerClients are the IDs of the clients whose own tokens are accepted in place
	// of an API key.
	BearerClients []string

	// ClockSkew is how far the Date header may be off in both directions. Zero: 15
	// minutes.
	ClockSkew time.Duration

	// OpenIDConfiguration adds the member openid_configuration to the answer of sso_url.
	OpenIDConfiguration bool

	// Sign signs the body of an answer. PublicKey returns the public key in PEM.
	Sign      func(ctx context.Context, body []byte) ([]byte, error)
	PublicKey func(ctx context.Context) ([]byte, error)

	Now func() time.Time
	Log *zap.Logger

	oauthURL atomic.Pointer[signedBody] // the same for everybody
}

// PublicKeyPath is the path of the public half of the signature key.
const PublicKeyPath = "/sso/license_signature.pem"

// Endpoint returns the handler of a path, or nil for a path that is not of this API.
func (a *API) Endpoint(path string) http.HandlerFunc {
	switch path {
	case "/api/v4/sso_url":
		return a.ssoURL
	case "/api/v4/oauth_url":
		return a.oauthURLs
	case PublicKeyPath:
		return a.publicKey
	}
	return nil
}

// publicKey answers GET /sso/license_signature.pem.
func (a *API) publicKey(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	public, err := a.PublicKey(r.Context())
	if err != nil {
		a.Unavailable(w, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(public) //nolint:errcheck // the client went away
}

// allowed reports whether an endpoint accepts the method of a request. If not, it
// answers 405.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if httpapi.AllowMethods(w, r, methods...) {
		return true
	}
	write(w, errMethod)
	return false
}
