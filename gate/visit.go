package gate

import (
	"context"
	"net/http"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A visit is what the gates of one site share about one request: the first
// leaves what it found, later ones use that, never the cookies again.
type visit struct {
	cookies  []string // the Cookie headers, before ours were taken out
	scrubbed []string // header prefixes that are clean already
	room     [1]string
	entered  bool // the visit is in the request's context
	attached bool // the request ends with its session

	asked bool
	found oauth.SignedIn
	err   error

	// authorization is the header as the request had it, and token what was made
	// of it where there was no session.
	authorization []string
	token         *oauth.Verified
	tokenErr      *oauth.Error
}

type visitKey struct{}

func visitOf(r *http.Request) *visit {
	if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
		return v
	}
	v := &visit{cookies: r.Header["Cookie"], authorization: r.Header["Authorization"]}
	v.scrubbed = v.room[:0]
	session.StripOwn(r.Header)
	return v
}

// enter puts the visit into the context that later gates see.
func (v *visit) enter(ctx context.Context) context.Context {
	if v.entered {
		return ctx
	}
	v.entered = true
	return context.WithValue(ctx, visitKey{}, v)
}

// pass lets a request go on without an identity.
func (v *visit) pass(r *http.Request) Pass {
	if !v.entered {
		r = r.WithContext(v.enter(r.Context()))
	}
	return Pass{Request: r, Release: nothing}
}

// Enter takes the project's cookies out of a request that goes on past the
// portal, and what would change its protocol to another than WebSocket. Gates
// further on know the cookies all the same. It returns nil where it answered.
func Enter(w http.ResponseWriter, r *http.Request) *http.Request {
	v := visitOf(r)
	for name := range r.Header {
		if isHTTP2Settings(name) {
			delete(r.Header, name)
		}
	}
	if !limitUpgrade(r, nil) {
		noTunnel(w)
		return nil
	}
	return v.pass(r).Request
}

// cookie reads one of the project's cookies, as the request had it.
func (v *visit) cookie(c session.Cookie) (string, bool) {
	return c.In(v.cookies)
}

// identify finds out, once a request, who it is from. It returns nil and
// session.ErrNone for nobody.
func (g *Gate) identify(v *visit, r *http.Request, site *Site) (*oauth.SignedIn, error) {
	if !v.asked {
		v.asked = true
		v.found, v.err = g.lookUp(v, r, site)
	}
	if v.err != nil {
		return nil, v.err
	}
	return &v.found, nil
}

func (g *Gate) lookUp(v *visit, r *http.Request, site *Site) (oauth.SignedIn, error) {
	cookie, ok := v.cookie(site.Cookie)
	if !ok {
		return oauth.SignedIn{}, session.ErrNone
	}
	if site.Portal {
		return g.Server.SignedIn(r.Context(), cookie)
	}
	return g.Server.SignedInAtSite(r.Context(), cookie, g.Client.ID)
}
