package gate

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// mayBeEndpoint reports whether a path may be one of the gate's own endpoints.
func (g *Gate) mayBeEndpoint(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/oauth2/") {
		return true
	}
	for _, s := range g.Sites {
		if s.Callback == r.URL.Path {
			return true
		}
	}
	return false
}

// isCallback reports whether a request is the portal's answer. A redirect URI
// without a path is also the backend's start page.
func (s *Site) isCallback(r *http.Request) bool {
	return s.Callback != "" && r.URL.Path == s.Callback && (s.Callback != "/" || r.URL.Query().Has("state"))
}

// serveEndpoint answers a request for one of the gate's own endpoints. It returns
// false for any other path.
func (g *Gate) serveEndpoint(v *request, w http.ResponseWriter, r *http.Request) bool {
	site := g.site(r.Host)
	if site == nil {
		return false
	}
	if name, ok := strings.CutPrefix(r.URL.Path, AssetPrefix); ok {
		g.Pages.ServeAsset(w, r, name)
		return true
	}
	if g.discardPosted(w, r, site) {
		return true
	}
	if site.isCallback(r) {
		g.onlyGet(w, r, func() { g.callback(v, w, r, site) })
		return true
	}
	switch r.URL.Path {
	case SignInPath:
		g.onlyGet(w, r, func() { g.startSignIn(v, w, r, site) })
	case SendPath:
		g.onlyGet(w, r, func() { g.send(v, w, r, site) })
	case SignedInPath:
		g.onlyGet(w, r, func() { g.windowDone(v, w, r, site) })
	case SignOutPath:
		g.signOut(v, w, r, site)
	default:
		return false
	}
	return true
}

func (g *Gate) onlyGet(w http.ResponseWriter, r *http.Request, h func()) {
	if r.Method != http.MethodGet {
		g.notAllowed(w, r, "GET")
		return
	}
	h()
}

// startSignIn begins a sign-in that a page asked for. The parameter return is the
// path to come back to, popup the nonce of a page that waits for a window, auth_after
// the time since when the user must have been authenticated.
func (g *Gate) startSignIn(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	q := r.URL.Query()
	b := signInStart{returnTo: q.Get("return"), window: q.Get("popup"), another: q.Get("switch") == "1"}
	if b.returnTo == "" {
		b.returnTo = "/"
	}
	after, err := oauth.ParseAuthAfter(q.Get(oauth.AuthAfterParam))
	if b.authAfter = after; after.After(g.Now()) { // no session would ever be accepted
		b.authAfter = g.Now()
	}
	if !localPath(b.returnTo) || !validWindow(b.window) || err != nil {
		g.Pages.Message(w, r, http.StatusBadRequest, page.Message{
			App: g.Client.Name, Fault: page.FaultBadReturn, Link: &page.Link{Label: page.LinkStartPage, URL: "/"},
		})
		return
	}
	g.startAtPortal(v, w, r, site, b)
}

// validWindow reports whether s may be the nonce of a page that waits for a window.
func validWindow(s string) bool { return len(s) <= 64 && oauth.CleanText(s) }

// beginPage begins a sign-in for a person who asked for a page, and has no session, or
// one that is too old. Since after the user must have been authenticated.
func (g *Gate) beginPage(v *request, w http.ResponseWriter, r *http.Request, site *Site, after time.Time, old bool) {
	if g.misrouted(w, r, site) {
		return
	}
	returnTo := g.OriginalURI(r)
	if !localPath(returnTo) {
		g.badAddress(w, r, http.StatusRequestURITooLong)
		return
	}
	if !g.Policy.Popup {
		var lost lostSessions
		if !old {
			lost = v.lost(site, returnTo)
		}
		if lost.n >= maxAttempts {
			site.NotFound.Clear(w)
			g.redirectLoop(w, r, site, notFound, attempt{}, returnTo)
			return
		}
		g.startAtPortal(v, w, r, site, signInStart{returnTo: returnTo, lost: lost, authAfter: after})
		return
	}
	g.binder(v, w, site) // before the window opens, so that both share it
	nonce := randomID()
	q := withAuthAfter(url.Values{"return": {returnTo}}, after)
	plain := SignInPath + "?" + q.Encode()
	q.Set("popup", nonce)
	g.Pages.PopupSignIn(w, r, page.PopupSignIn{
		App: g.Client.Name, SignInURL: plain, PopupURL: SignInPath + "?" + q.Encode(),
		ReturnURL: site.Origin + returnTo, Channel: channel, Nonce: nonce, Status: http.StatusUnauthorized,
	})
}

// channel is the name of the BroadcastChannel between the windows of a site.
const channel = "caddy_sso"

// windowDone ends a sign-in in a window on the portal's own origin.
func (g *Gate) windowDone(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	q := r.URL.Query()
	back := q.Get("return")
	if !site.Portal || !localPath(back) || !validWindow(q.Get("window")) {
		g.unfinished(w, r, page.ReasonAnswerDamaged)
		return
	}
	if _, err := g.identify(v, r, site); err != nil {
		if !errors.Is(err, session.ErrNone) {
			g.failed(w, r, err)
			return
		}
		g.startAtPortal(v, w, r, site, signInStart{returnTo: back, window: q.Get("window")})
		return
	}
	g.Pages.PopupDone(w, r, page.PopupDone{
		App: g.Client.Name, Channel: channel, Nonce: q.Get("window"), ReturnURL: site.Origin + back,
	})
}
