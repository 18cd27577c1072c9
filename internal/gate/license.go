package gate

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A LicenseGate stands before the backend of a licensing API. It asks nobody to
// sign in: it takes forged headers and our cookies out of every request, and
// puts an identity on those that carry a credential of licensed software. Its
// fields are set once.
type LicenseGate struct {
	Sessions *session.Sessions

	// Shared finds what the gates of a request share.
	Shared Table

	// Headers name the identity headers.
	Headers Headers

	// AllowUpgrade are the protocols, beside WebSocket, that a connection may
	// change to.
	AllowUpgrade []string

	// Endpoint returns what answers a path in place of the backend, or nil:
	// clients have one base URL for all of the API.
	Endpoint func(path string) http.HandlerFunc

	// Check verifies the credential of a request, and says that it answered
	// where it refuses it. It returns nil for a request without a credential.
	Check func(http.ResponseWriter, *http.Request) (activated *oauth.Activation, done bool)
}

// Handle answers a request, or returns the one that goes on to the upstream.
func (g *LicenseGate) Handle(w http.ResponseWriter, r *http.Request) (Pass, bool) {
	v := g.Shared.request(r)
	v.scrub(g.Headers, r)
	if !limitUpgrade(r, g.AllowUpgrade) {
		noTunnel(w)
		return Pass{}, false
	}
	if answer := g.Endpoint(httpapi.CanonicalPath(r.URL.Path)); answer != nil {
		answer(w, r)
		return Pass{}, false
	}
	activated, done := g.Check(w, r)
	if done {
		return Pass{}, false
	}
	if activated == nil {
		return passOn(r), true
	}
	// Other gates of the site go by this identity, too, and none that they
	// found remains.
	v.asked, v.by, v.found, v.err = true, nil, activated.SignedIn, nil
	g.Headers.Scrub(r)
	g.Headers.set(r.Header, &activated.User)
	g.Headers.setLicense(r.Header, activated)
	ctx, release := g.Sessions.Attach(v.attaching(r.Context()), activated.Session)
	return Pass{Request: r.WithContext(ctx), User: &activated.User, Known: true, Release: release}, true
}

// setLicense says what is activated. Both are plain ASCII.
func (h Headers) setLicense(header http.Header, a *oauth.Activation) {
	header.Set(h.prefix+"License-Product", a.Product)
	header.Set(h.prefix+"License-Customer-Account", a.Account)
}
