package gate

import (
	"context"
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A request is what the gates of one site share about one HTTP request. The first
// gate stores what it found, and later gates use that instead of the cookies.
type request struct {
	cookies    []string // the Cookie headers, before our cookies were removed
	scrubbed   string   // prefixes of identity headers that were deleted already, one a line
	attached   bool     // the request's context ends with its session
	identified bool     // identify has run; its result follows

	identifiedFor *oauth.Client // the client that identify ran for; nil: the result holds for all clients
	found         oauth.SignedIn
	err           error

	// authorization is the header as the client sent it. token is the result of its
	// verification, if there was no session.
	authorization []string
	token         *oauth.Verified
	tokenErr      *oauth.Error
}

// A SharedTable returns the values that the handlers of one request share. It must
// return the same values for the request that error routes get, which has neither the
// context nor the cookies that a gate passed on.
type SharedTable func(context.Context) map[string]any

const requestKey = "sso_visit"

// request returns what the gates know about a request, and removes the project's
// cookies from it.
func (t SharedTable) request(r *http.Request) *request {
	var shared map[string]any
	if t != nil {
		shared = t(r.Context())
	}
	if v, ok := shared[requestKey].(*request); ok {
		return v
	}
	v := &request{cookies: r.Header["Cookie"], authorization: r.Header["Authorization"]}
	session.StripOwn(r.Header)
	if shared != nil {
		shared[requestKey] = v
	}
	return v
}

// Enter removes the project's cookies from a request that the portal passes on, and
// every upgrade but one to WebSocket. Later gates still know the cookies. It returns
// false if it has answered the request.
func (t SharedTable) Enter(w http.ResponseWriter, r *http.Request) bool {
	t.request(r)
	for name := range r.Header {
		if isHTTP2Settings(name) {
			delete(r.Header, name)
		}
	}
	if !limitUpgrade(r, nil) {
		refuseTunnel(w)
		return false
	}
	return true
}

// String keeps cookies out of whatever prints the table.
func (*request) String() string { return "[redacted]" }

type attachedKey struct{}

// attachedTo reports whether the context already ends with the request's session. The
// context of an error route does not, even if the context before it did.
func (v *request) attachedTo(ctx context.Context) bool {
	return v.attached && ctx.Value(attachedKey{}) != nil
}

// attaching marks the context of a request that is about to be attached.
func (v *request) attaching(ctx context.Context) context.Context {
	v.attached = true
	return context.WithValue(ctx, attachedKey{}, v)
}

// passOn passes a request on without an identity.
func passOn(r *http.Request) Pass { return Pass{Request: r, Release: noRelease} }

// cookie reads one of the project's cookies, as the client sent it.
func (v *request) cookie(c session.Cookie) (string, bool) {
	return c.In(v.cookies)
}

// identify finds the user of a request, once a request. Without a session it returns
// nil and session.ErrNone.
func (g *Gate) identify(v *request, r *http.Request, site *Site) (*oauth.SignedIn, error) {
	if !v.identified || v.identifiedFor != nil && v.identifiedFor != g.Client {
		v.identified, v.identifiedFor = true, g.Client
		v.found, v.err = g.lookUp(v, r, site)
	}
	if v.err != nil {
		return nil, v.err
	}
	return &v.found, nil
}

func (g *Gate) lookUp(v *request, r *http.Request, site *Site) (oauth.SignedIn, error) {
	cookie, ok := v.cookie(site.Cookie)
	if !ok {
		return oauth.SignedIn{}, session.ErrNone
	}
	if site.Portal {
		return g.Server.SignedIn(r.Context(), cookie)
	}
	return g.Server.SignedInAtSite(r.Context(), cookie, g.Client.ID)
}
