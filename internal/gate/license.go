package gate

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A LicenseGate stands before the backend of a licensing API. It sends no browser to
// sign in. It removes forged identity headers and the project's cookies from every
// request, and sets identity headers on requests with a credential of licensed
// software. Its fields are set once.
type LicenseGate struct {
	Sessions *session.Sessions

	// Shared returns the values that the gates of a request share.
	Shared SharedTable

	// Headers name the identity headers.
	Headers Headers

	// AllowUpgrade are the protocols that a connection may be upgraded to, beside
	// WebSocket.
	AllowUpgrade []string

	// Endpoint returns the handler that answers a path in place of the backend, or
	// nil. Clients have one base URL for the whole API.
	Endpoint func(path string) http.HandlerFunc

	// Check verifies the credential of a request. If it refuses the credential, it
	// answers the request and returns true. Without a credential it returns nil.
	Check func(http.ResponseWriter, *http.Request) (activated *oauth.Activation, done bool)
}

// Handle answers a request and returns false, or returns the request that goes on to
// the upstream.
func (g *LicenseGate) Handle(w http.ResponseWriter, r *http.Request) (Pass, bool) {
	v := g.Shared.request(r)
	v.scrub(&g.Headers, r)
	if !limitUpgrade(r, g.AllowUpgrade) {
		refuseTunnel(w)
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
	// Other gates of the site use this identity, too. It replaces any identity that
	// they found before.
	v.identified, v.identifiedFor, v.found, v.err = true, nil, activated.SignedIn, nil
	g.Headers.Scrub(r)
	g.Headers.set(r.Header, &activated.User)
	g.Headers.setLicense(r.Header, activated)
	ctx, release := g.Sessions.Attach(v.attaching(r.Context()), activated.Session)
	return Pass{Request: r.WithContext(ctx), User: &activated.User, Known: true, Release: release}, true
}

// setLicense sets the headers of product and customer account. Both are ASCII.
func (h *Headers) setLicense(header http.Header, a *oauth.Activation) {
	header.Set(h.prefix+"License-Product", a.Product)
	header.Set(h.prefix+"License-Customer-Account", a.Account)
}
