package gate

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// The gate's own endpoints. Another one is the callback, whose path is that of the
// client's redirect URI.
const (
	SignInPath   = "/oauth2/sign_in"   // begins a sign-in; return: the path to come back to
	SignOutPath  = "/oauth2/sign_out"  // ends site and SSO session
	SignedInPath = "/oauth2/signed_in" // ends a sign-in in a window on the portal's own origin
	SendPath     = "/oauth2/send"      // sends a kept form after the sign-in
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

	// StripAuthorization removes the client's own header Authorization from requests that
	// go on to the backend.
	StripAuthorization bool

	// AllowUpgrade are the protocols that a connection may be upgraded to, beside
	// WebSocket.
	AllowUpgrade []string

	// Match reports whether the policy applies to a request. Nil: it applies to all.
	Match func(*http.Request) (bool, error)

	// AllowRawPath passes on paths that backends and matchers may read differently,
	// if the policy does not apply to all requests.
	AllowRawPath bool

	// PortalSignIn returns the URL of the hosted sign-in page that leads back to a
	// path of the portal's own origin.
	PortalSignIn func(ctx context.Context, returnTo string) (string, error)

	// Shared returns the values that the gates of a request share.
	Shared SharedTable

	// From returns where a request comes from, OriginalURI its URI before any
	// rewrite.
	From        func(*http.Request) oauth.Origin
	OriginalURI func(*http.Request) string

	// Lifetime is the longest lifetime of a session, and so that of its cookie.
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

	// Portal is set on the portal's own origin. There the gate reads the SSO session
	// directly.
	Portal bool

	Cookie   session.Cookie // the site session, or the SSO session on the portal
	Binder   session.Cookie // binds sign-ins to the browser
	NotFound session.Cookie // counts how many sessions in a row were not found

	// FormOwner names the user who signed in last. A form that was kept during the
	// sign-in is compared with it. It authorizes nothing.
	FormOwner session.Cookie
}

// NewSites returns the sites of a client. The cookie portal is that of the SSO session
// on the issuer's origin.
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
		Binder: session.NewCookie("gate", u, c.ID), NotFound: session.NewCookie("losses", u, c.ID),
		FormOwner: session.NewCookie("visitor", u, c.ID),
	}
}

// site finds the site of a request by its Host header, never by a forwarded header.
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

	// User is the user of the request. It is nil if the policy does not apply, or
	// if the request is from a client.
	User *session.User

	// Known reports whether the request is from a known user or client.
	Known bool

	// Release must be called when the request is over.
	Release func()
}

func noRelease() {}

// Handle answers a request and returns false, or returns the request that goes on to
// the upstream.
func (g *Gate) Handle(w http.ResponseWriter, r *http.Request) (Pass, bool) {
	req := g.Shared.request(r)
	req.scrub(&g.Headers, r)
	if !limitUpgrade(r, g.AllowUpgrade) {
		refuseTunnel(w)
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
			if g.misroutedElsewhere(w, r) {
				return Pass{}, false
			}
			if !g.AllowRawPath {
				deleteOverrides(r.Header)
			}
			return passOn(r), true
		}
	}
	return g.apply(req, w, r)
}

// apply applies the policy to a request.
func (g *Gate) apply(v *request, w http.ResponseWriter, r *http.Request) (Pass, bool) {
	site := g.site(r.Host)
	if site == nil {
		g.unknownHost(w, r)
		return Pass{}, false
	}
	if g.Client.Disabled {
		g.clientDisabled(w, r)
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
	facts := factsOf(r, in, in != nil && g.tooOld(in.Session), err)
	facts.FailPage = g.failPage(r, site)
	facts.SignInMethodRefused = in != nil && clientOwn(token) == "" && !g.Client.Accepts(in.User)
	facts.Client, facts.BadToken, facts.Preflight = clientOwn(token), wrong != nil, isPreflight(r)
	switch g.Policy.decide(facts) {
	case forward:
		if site.Portal && token == nil && wantsPage(r) { // on other sites the callback does it
			g.formOwner(v, w, r, site, in.User)
		}
		g.stripAuthorization(r)
		return g.forward(v, r, in, token), true
	case passAnonymous:
		g.stripAuthorization(r)
		return passOn(r), true
	case signIn, signInAgain:
		g.beginPage(v, w, r, site, g.authAfter(), facts.TooOld)
	case signInFirst, signInAgainFirst:
		g.beginForm(v, w, r, site)
	case refuseOld:
		g.refuseOld(w, site)
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

// stripAuthorization removes what a client sent as its credential. Later gates of the
// request still know it.
func (g *Gate) stripAuthorization(r *http.Request) {
	if g.StripAuthorization {
		delete(r.Header, "Authorization")
		delete(r.Trailer, "Authorization")
	}
}

// forward sets the identity headers. The request's context ends with its session, or
// with its token.
func (g *Gate) forward(v *request, r *http.Request, in *oauth.SignedIn, token *oauth.Verified) Pass {
	pass := Pass{Request: r, Known: true, Release: noRelease}
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

// AnswerEnded answers a request that was passed on, and whose session or token ended
// before the upstream answered. The user signed out, or signed in again in another tab
// so that the browser has another session now.
func (g *Gate) AnswerEnded(w http.ResponseWriter, r *http.Request) {
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
		httpapi.Redirect(w, http.StatusFound, site.Origin+back)
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
