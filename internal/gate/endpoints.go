package gate

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// mayBeEndpoint says whether a path may be one of the gate's own.
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

// calledBack says whether a request is an answer of the portal. A redirect URI
// without a path shares the start page with the backend.
func (s *Site) calledBack(r *http.Request) bool {
	return s.Callback != "" && r.URL.Path == s.Callback && (s.Callback != "/" || r.URL.Query().Has("state"))
}

// serveEndpoint answers the gate's own paths, and says whether it did.
func (g *Gate) serveEndpoint(v *request, w http.ResponseWriter, r *http.Request) bool {
	site := g.site(r.Host)
	if site == nil {
		return false
	}
	if name, ok := strings.CutPrefix(r.URL.Path, AssetPrefix); ok {
		g.Pages.ServeAsset(w, r, name)
		return true
	}
	if g.posted(w, r, site) {
		return true
	}
	if site.calledBack(r) {
		g.get(w, r, func() { g.callback(v, w, r, site) })
		return true
	}
	switch r.URL.Path {
	case SignInPath:
		g.get(w, r, func() { g.startSignIn(v, w, r, site) })
	case SendPath:
		g.get(w, r, func() { g.send(v, w, r, site) })
	case SignedInPath:
		g.get(w, r, func() { g.windowDone(v, w, r, site) })
	case SignOutPath:
		g.signOut(v, w, r, site)
	default:
		return false
	}
	return true
}

func (g *Gate) get(w http.ResponseWriter, r *http.Request, h func()) {
	if r.Method != http.MethodGet {
		g.notAllowed(w, r, "GET")
		return
	}
	h()
}

// startSignIn begins a sign-in for a page that asks for it: return is where it
// wants to come back to, popup the nonce of a page that waits for a window.
func (g *Gate) startSignIn(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	q := r.URL.Query()
	b := beginning{returnTo: q.Get("return"), window: q.Get("popup"), another: q.Get("switch") == "1"}
	if b.returnTo == "" {
		b.returnTo = "/"
	}
	if !localPath(b.returnTo) || !validWindow(b.window) {
		g.Pages.Message(w, r, http.StatusBadRequest, page.Message{
			App: g.Client.Name, Fault: page.FaultBadReturn, Link: &page.Link{Label: page.LinkStartPage, URL: "/"},
		})
		return
	}
	g.begin(v, w, r, site, b)
}

// validWindow says whether s may be the nonce of a page that waits for a window.
func validWindow(s string) bool { return len(s) <= 64 && oauth.CleanText(s) }

// beginPage is for a person who asked for a page and has no session.
func (g *Gate) beginPage(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	if g.misrouted(w, r, site) {
		return
	}
	returnTo := g.OriginalURI(r)
	if !localPath(returnTo) {
		g.badAddress(w, r, http.StatusRequestURITooLong)
		return
	}
	if !g.Policy.Popup {
		lost := v.lost(site, returnTo)
		if lost.n >= maxTurns {
			site.Losses.Clear(w)
			g.redirectLoop(w, r, site, notFound, attempt{}, returnTo)
			return
		}
		g.begin(v, w, r, site, beginning{returnTo: returnTo, lost: lost})
		return
	}
	g.binder(v, w, site) // before the window opens, so that both share it
	nonce := randomID()
	q := url.Values{"return": {returnTo}}
	plain := SignInPath + "?" + q.Encode()
	q.Set("popup", nonce)
	g.Pages.PopupSignIn(w, r, page.PopupSignIn{
		App: g.Client.Name, SignInURL: plain, PopupURL: SignInPath + "?" + q.Encode(),
		ReturnURL: site.Origin + returnTo, Channel: channel, Nonce: nonce, Status: http.StatusUnauthorized,
	})
}

// channel is the name of the BroadcastChannel between the windows of a site.
const channel = "caddy_sso"

// callback ends a sign-in: it redeems the code and begins the site session.
// Whatever can be mended by asking the portal again is, a few times; no code
// that this browser did not ask for begins a session in it.
func (g *Gate) callback(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["state"]) != 1 || len(q["code"]) > 1 {
		g.unfinished(w, r, page.ReasonAnswerDamaged)
		return
	}
	st, err := g.unseal(r.Context(), q.Get("state"))
	if err != nil {
		if !errors.Is(err, keys.ErrSealed) {
			g.failed(w, r, err)
			return
		}
		if n := g.notOpened.Due(g.Now()); n > 0 {
			g.Log.Warn("the state of an answer cannot be opened: if people meet this, the nodes that serve this site have different keys, and need the same storage",
				zap.String("setting", "storage"), zapOrigin(site), zapClient(g.Client), zap.Int("requests", n))
		}
		g.discard(r, site, q.Get("code"), "its state is not one of ours")
		g.unfinished(w, r, page.ReasonAnswerUnknown)
		return
	}
	if st.Client != g.Client.ID || st.Origin != site.Origin || !localPath(st.Return) {
		g.discard(r, site, q.Get("code"), "its state is of another site")
		g.unfinished(w, r, page.ReasonAnswerCrossSite)
		return
	}
	if q.Has("error") {
		g.unfinished(w, r, page.ReasonAnswerRefused)
		return
	}
	old, hadSession := v.cookie(site.Cookie)
	if hadSession {
		if done, ok := g.Server.Sessions.SiteTransaction(r.Context(), old, g.Client.ID); ok && done == st.ID {
			g.arrive(w, r, site, st) // the back button, or a reload
			return
		}
	}
	bound, _ := v.cookie(site.Binder)
	if bound == "" || bound != st.Binder || g.Now().Unix()-st.Begun > int64(stateLifetime.Seconds()) {
		g.discard(r, site, q.Get("code"), "its state is of another browser, or too old")
		if hadSession && g.lives(r, old) {
			// Another tab has signed in meanwhile. Nothing changes but the page.
			g.arrive(w, r, site, st)
			return
		}
		g.again(v, w, r, site, st)
		return
	}
	redeemed, refusal := g.Server.RedeemCode(r.Context(), oauth.CodeRequest{
		Client: g.Client, Code: q.Get("code"), RedirectURI: site.URI, Verifier: st.Verifier, From: g.From(r),
	})
	if refusal != nil {
		if refusal.Kind == oauth.Internal {
			g.failed(w, r, refusal)
			return
		}
		if refusal.Kind == oauth.TooManyCodes { // the code is as good as before
			g.tooMany(w, r, site, st.Return, refusal.RetryAfter)
			return
		}
		g.again(v, w, r, site, st)
		return
	}
	if hadSession && g.isOf(r, old, redeemed.Session) {
		// Another tab has begun it a moment ago, and goes on with it.
		site.remember(w, st.lost(), redeemed.Session.Key())
		g.arrive(w, r, site, st)
		return
	}
	token, err := g.Server.Sessions.BeginSite(r.Context(), redeemed.Session, g.Client.ID, st.ID)
	if err != nil {
		if errors.Is(err, session.ErrNone) {
			g.again(v, w, r, site, st)
			return
		}
		g.failed(w, r, err)
		return
	}
	if hadSession {
		// The new site session replaces it in this browser; it would end with
		// its SSO session in any case.
		_ = g.Server.Sessions.EndSite(r.Context(), old)
	}
	site.Cookie.Set(w, token.Encode(), g.Lifetime)
	site.remember(w, st.lost(), redeemed.Session.Key())
	g.formOwner(v, w, r, site, redeemed.User)
	g.arrive(w, r, site, st)
}

// lives says whether there is a site session.
func (g *Gate) lives(r *http.Request, cookie string) bool {
	_, err := g.Server.SignedInAtSite(r.Context(), cookie, g.Client.ID)
	return err == nil
}

// isOf says whether a site session is one of an SSO session.
func (g *Gate) isOf(r *http.Request, cookie string, sso *session.Session) bool {
	found, err := g.Server.Sessions.CheckSite(r.Context(), cookie, g.Client.ID)
	return err == nil && found.Key() == sso.Key()
}

// arrive leads to the page first asked for, or tells the page that waits.
func (g *Gate) arrive(w http.ResponseWriter, r *http.Request, site *Site, st state) {
	if st.Window != "" {
		g.Pages.PopupDone(w, r, page.PopupDone{
			App: g.Client.Name, Channel: channel, Nonce: st.Window, ReturnURL: site.Origin + st.Return,
		})
		return
	}
	redirect(w, site.Origin+st.Return)
}

// again begins a sign-in once more, which costs a person nothing while the
// portal has a session. A browser that keeps no cookie would go on for ever.
func (g *Gate) again(v *request, w http.ResponseWriter, r *http.Request, site *Site, st state) {
	t := g.attemptOf(v, r, site, st)
	if st.Turn+1 < t.tooMany() {
		if t.crowded() {
			pause(r.Context(), time.Duration(st.Turn)*crowdPause)
		}
		g.begin(v, w, r, site, beginning{returnTo: st.Return, window: st.Window, turn: st.Turn + 1, lost: st.lost()})
		return
	}
	g.redirectLoop(w, r, site, t.cause(), t, st.Return)
}

// discard spends the code of an answer that this browser did not ask for. Tabs
// that were opened at once, before the browser had a cookie, come back with as
// many codes that are bound to another; and a hostile page can lead a browser
// to the portal again and again with a state and a challenge of its own. Left
// alive, those codes would fill the allowance of the user. A code comes here in
// the one browser that it was sent to; whoever has it from elsewhere can cost
// its owner no more than another turn.
func (g *Gate) discard(r *http.Request, site *Site, code, why string) {
	if code != "" {
		g.Server.DiscardCode(r.Context(), oauth.CodeRequest{
			Client: g.Client, Code: code, RedirectURI: site.URI, From: g.From(r),
		}, why)
	}
}

// posted answers an answer that the portal's page posts (response mode form_post), and
// says whether it did. No gate asks for one, but any page can have the portal make
// it. A redirect URI without a path shares the start page with the backend, to which
// the code is not to go.
func (g *Gate) posted(w http.ResponseWriter, r *http.Request, site *Site) bool {
	if r.Method != http.MethodPost || r.URL.Path != site.Callback || r.Header.Get("Origin") != g.Server.Issuer {
		return false
	}
	if raw, _, refusal := httpapi.ReadForm(w, r); refusal == nil {
		answer, _ := url.ParseQuery(raw)
		g.discard(r, site, answer.Get("code"), "it was posted, which this gate does not ask for")
	}
	g.unfinished(w, r, page.ReasonAnswerPosted)
	return true
}

// windowDone ends, on the portal's own origin, what a window was opened for.
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
		g.begin(v, w, r, site, beginning{returnTo: back, window: q.Get("window")})
		return
	}
	g.Pages.PopupDone(w, r, page.PopupDone{
		App: g.Client.Name, Channel: channel, Nonce: q.Get("window"), ReturnURL: site.Origin + back,
	})
}
