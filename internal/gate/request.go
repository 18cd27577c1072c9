package gate

import (
	"context"
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A request is what the gates of one site share about one request: the first
// leaves what it found, later ones use that, never the cookies again.
type request struct {
	cookies  []string // the Cookie headers, before ours were taken out
	scrubbed string   // header prefixes that are clean already, one a line
	attached bool     // some request of this visit ended with its session
	asked    bool     // by whom the request is; the answer follows

	by    *oauth.Client // who asked; nil: the answer is for all
	found oauth.SignedIn
	err   error

	// authorization is the header as the request had it, and token what was made
	// of it where there was no session.
	authorization []string
	token         *oauth.Verified
	tokenErr      *oauth.Error
}

// A Table finds what the handlers of one request share. It has to find the same
// for the request that error routes get, which has neither the context nor the
// cookies that a gate passed on.
type Table func(context.Context) map[string]any

const requestKey = "sso_visit"

// request returns what is known of a request, and takes the project's cookies out
// of it.
func (t Table) request(r *http.Request) *request {
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

// Enter takes the project's cookies out of a request that goes on past the
// portal, and what would change its protocol to another than WebSocket. Gates
// further on know the cookies all the same. It returns false where it answered.
func (t Table) Enter(w http.ResponseWriter, r *http.Request) bool {
	t.request(r)
	for name := range r.Header {
		if isHTTP2Settings(name) {
			delete(r.Header, name)
		}
	}
	if !limitUpgrade(r, nil) {
		noTunnel(w)
		return false
	}
	return true
}

// String keeps cookies out of whatever prints the table.
func (*request) String() string { return "[redacted]" }

type attachedKey struct{}

// attachedTo says whether a request ends with its session by now. One that an
// error route gets does not, though the one before it did.
func (v *request) attachedTo(ctx context.Context) bool {
	return v.attached && ctx.Value(attachedKey{}) != nil
}

// attaching marks the context of a request that is about to be attached.
func (v *request) attaching(ctx context.Context) context.Context {
	v.attached = true
	return context.WithValue(ctx, attachedKey{}, v)
}

// passOn lets a request go on without an identity.
func passOn(r *http.Request) Pass { return Pass{Request: r, Release: nothing} }

// cookie reads one of the project's cookies, as the request had it.
func (v *request) cookie(c session.Cookie) (string, bool) {
	return c.In(v.cookies)
}

// identify finds out, once a request, who it is from. It returns nil and
// session.ErrNone for nobody.
func (g *Gate) identify(v *request, r *http.Request, site *Site) (*oauth.SignedIn, error) {
	if !v.asked || v.by != nil && v.by != g.Client {
		v.asked, v.by = true, g.Client
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
