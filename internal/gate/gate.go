// Package gate decides what becomes of a request to a protected route: it is
// forwarded with a trustworthy identity, sent to sign in, or denied.
//
// A gate sees every request of its site. On each it first deletes what looks
// like an identity header, takes the project's cookies out, and answers its own
// few paths below /oauth2/; then it applies its policy where its matcher says
// so. It redeems codes and reads sessions in process, without a second request.
package gate

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// The paths that a gate answers on its site, beside the callback, whose path
// the client's redirect URI has.
const (
	SignInPath   = "/oauth2/sign_in"   // begins a sign-in; return: the path to come back to
	SignOutPath  = "/oauth2/sign_out"  // ends site and SSO session
	SignedInPath = "/oauth2/signed_in" // where a window on the portal's own origin ends
	SendPath     = "/oauth2/send"      // sends on, after signing in, what a form would have sent
	AssetPrefix  = "/oauth2/assets/"
)

// A Gate is one sso_gate. Its fields are set once.
type Gate struct {
	Server *oauth.Server
	Keys   *keys.Ring
	Client *oauth.Client
	Pages  *page.Pages

	// Sites are the origins that the gate can serve, one for each redirect URI
	// of the client that has an origin, and the portal's own.
	Sites []*Site

	Policy Policy

	// Headers name the identity headers.
	Headers Headers

	// AllowUpgrade are the protocols, beside WebSocket, that a connection may
	// change to.
	AllowUpgrade []string

	// Match says whether the policy is for a request; nil: it is for all.
	Match func(*http.Request) (bool, error)

	// AllowRawPath lets through paths that backends and matchers may read
	// differently, where the policy is not for all requests.
	AllowRawPath bool

	// PortalSignIn is the hosted page that comes back to a path of the portal's
	// own origin.
	PortalSignIn func(ctx context.Context, returnTo string) (string, error)

	// Shared finds what the gates of a request share.
	Shared Table

	// From says where a request comes from, OriginalURI what it asked for
	// before any rewrite.
	From        func(*http.Request) oauth.Origin
	OriginalURI func(*http.Request) string

	// Lifetime is the longest a session lives: how long its cookie is kept.
	Lifetime time.Duration

	Now func() time.Time
	Log *zap.Logger

	unknownHosts, loops, notOpened logthrottle.Throttle
}

// A Site is one origin that a gate serves.
type Site struct {
	Origin   string // scheme://host[:port]
	Host     string // as requests name it, in lower case, without a default port
	Callback string // the path of the redirect URI, not empty; "" on the portal's own origin
	URI      string // the redirect URI

	// Portal says that this is the portal's own origin, where the SSO session
	// is read directly.
	Portal bool

	Cookie session.Cookie // the site session, or the SSO session on the portal
	Binder session.Cookie // what sign-ins are bound to
	Losses session.Cookie // how many sessions in a row were not found

	// Visitor is who signed in last: what a form is compared by that was written
	// before, and sent on after. It opens nothing.
	Visitor session.Cookie
}

// NewSites returns the sites of a client. portal carries the SSO session on the
// issuer's own origin.
func NewSites(issuer *url.URL, portal session.Cookie, c *oauth.Client) []*Site {
	sites := []*Site{newSite(issuer, portal, c)}
	sites[0].Portal = true
	for _, r := range c.RedirectURIs {
		if r.Origin() == "" || r.Origin() == sites[0].Origin {
			continue
		}
		s := newSite(r.URL, session.NewCookie("site", r.URL, c.ID), c)
		s.Callback, s.URI = path(r.URL), r.Raw
		sites = append(sites, s)
	}
	return sites
}

func newSite(u *url.URL, cookie session.Cookie, c *oauth.Client) *Site {
	origin := oauth.OriginOf(u)
	_, host, _ := strings.Cut(origin, "://")
	return &Site{
		Origin: origin, Host: host, Cookie: cookie,
		Binder: session.NewCookie("gate", u, c.ID), Losses: session.NewCookie("losses", u, c.ID),
		Visitor: session.NewCookie("visitor", u, c.ID),
	}
}

// site finds the site of a request by its Host, never by a forwarded header.
func (g *Gate) site(host string) *Site {
	for range 2 {
		for _, s := range g.Sites {
			if s.Host == host {
				return s
			}
		}
		host = strings.ToLower(host)
		host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
	}
	return nil
}

// A Pass is a request that may go on.
type Pass struct {
	Request *http.Request

	// User is who the request is from; nil where the policy does not apply, and
	// where it is from a client.
	User *session.User

	// Known says that the request is from somebody: the user, or a client.
	Known bool

	// Release must be called when the request is over.
	Release func()
}

func nothing() {}

// Handle answers a request, or returns the one that goes on to the upstream.
func (g *Gate) Handle(w http.ResponseWriter, r *http.Request) (Pass, bool) {
	req := g.Shared.request(r)
	req.scrub(g.Headers, r)
	if !limitUpgrade(r, g.AllowUpgrade) {
		noTunnel(w)
		return Pass{}, false
	}
	if g.mayBeEndpoint(r) && g.serveEndpoint(req, w, r) {
		return Pass{}, false
	}
	if g.Match != nil {
		if !g.AllowRawPath && ambiguousPath(r) {
			g.refusePath(w, r)
			return Pass{}, false
		}
		applies, err := g.Match(r)
		if err != nil {
			g.failed(w, r, err)
			return Pass{}, false
		}
		if !applies {
			if g.strayed(w, r) {
				return Pass{}, false
			}
			if !g.AllowRawPath {
				undisguise(r.Header)
			}
			return passOn(r), true
		}
	}
	return g.apply(req, w, r)
}

// apply holds a request against the policy.
func (g *Gate) apply(v *request, w http.ResponseWriter, r *http.Request) (Pass, bool) {
	site := g.site(r.Host)
	if site == nil {
		g.unknownHost(w, r)
		return Pass{}, false
	}
	if g.Client.Disabled {
		g.closed(w, r)
		return Pass{}, false
	}
	in, err := g.identify(v, r, site)
	var token *oauth.Verified
	var wrong *challenge
	if errors.Is(err, session.ErrNone) {
		if token, wrong, err = g.bearer(v, r); token != nil {
			in = &token.SignedIn
		}
	}
	facts := factsOf(r, in, err)
	facts.FailPage = g.failPage(r, site)
	facts.SignInMethodRefused = in != nil && clientOwn(token) == "" && !g.Client.Accepts(in.User)
	facts.Client, facts.BadToken, facts.Preflight = clientOwn(token), wrong != nil, isPreflight(r)
	switch g.Policy.decide(facts) {
	case forward:
		if site.Portal && token == nil && wantsPage(r) { // elsewhere the callback does it
			g.formOwner(v, w, r, site, in.User)
		}
		return g.forward(v, r, in, token), true
	case passAnonymous:
		return passOn(r), true
	case signIn:
		g.beginPage(v, w, r, site)
	case signInFirst:
		g.beginForm(v, w, r, site)
	case refuse:
		g.refuse(w, site)
	case refuseToken:
		g.challenged(w, wrong)
	case forbid:
		if token != nil {
			g.forbidToken(w, r, token)
			break
		}
		g.forbid(w, r, in)
	case unavailable:
		g.failed(w, r, err)
	}
	return Pass{}, false
}

// forward sets the identity and ties the request to its session, or to the
// token that it came with.
func (g *Gate) forward(v *request, r *http.Request, in *oauth.SignedIn, token *oauth.Verified) Pass {
	pass := Pass{Request: r, Known: true, Release: nothing}
	if own := clientOwn(token); own != "" {
		g.Headers.setClient(r.Header, own)
	} else {
		g.Headers.set(r.Header, &in.User)
		pass.User = &in.User
	}
	if v.attachedTo(r.Context()) {
		return pass
	}
	ctx := v.attaching(r.Context())
	if token != nil {
		ctx, pass.Release = g.Server.Attach(ctx, token)
	} else {
		ctx, pass.Release = g.Server.Sessions.Attach(ctx, in.Session)
	}
	pass.Request = r.WithContext(ctx)
	return pass
}

// Ended answers a request, as it was passed on, whose session or token ended
// before the upstream answered: somebody signed out, or signed in again in
// another tab, so that the browser has another session by now.
func (g *Gate) Ended(w http.ResponseWriter, r *http.Request) {
	if g.Shared.request(r).token != nil {
		g.challenged(w, errOver)
		return
	}
	site := g.site(r.Host)
	if site == nil {
		g.unknownHost(w, r)
		return
	}
	if back := g.OriginalURI(r); wantsPage(r) && localPath(back) {
		redirect(w, site.Origin+back)
		return
	}
	g.refuse(w, site)
}

func path(u *url.URL) string {
	if u.Path == "" {
		return "/"
	}
	return u.Path
}
