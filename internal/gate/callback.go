package gate

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// callback ends a sign-in: it redeems the code and begins the site session. If
// another request to the portal can repair a failure, callback makes it, a few
// times. A code that this browser did not ask for never begins a session here.
func (g *Gate) callback(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	st, code, ok := g.openAnswer(w, r, site)
	if !ok {
		return
	}
	old, hadSession := v.cookie(site.Cookie)
	if hadSession {
		if done, ok := g.Server.Sessions.SiteTransaction(r.Context(), old, g.Client.ID); ok && done == st.ID {
			g.finish(w, r, site, st) // the back button, or a reload
			return
		}
	}
	bound, _ := v.cookie(site.Binder)
	if bound == "" || bound != st.Binder || g.Now().Unix()-st.Begun > int64(stateLifetime.Seconds()) {
		g.discard(r, site, code, "its state is of another browser, or too old")
		if hadSession && g.siteSessionLives(r, old) {
			g.finish(w, r, site, st) // another tab has signed in meanwhile
			return
		}
		g.restart(v, w, r, site, st)
		return
	}
	redeemed, refusal := g.Server.RedeemCode(r.Context(), oauth.CodeRequest{
		Client: g.Client, Code: code, RedirectURI: site.URI, Verifier: st.Verifier, From: g.From(r),
	})
	if refusal != nil {
		g.notRedeemed(v, w, r, site, st, refusal)
		return
	}
	if after := st.authAfter(); !after.IsZero() && !oauth.AuthenticatedSince(redeemed.Session, after) {
		g.notReauthenticated(w, r, st.Return)
		return
	}
	if hadSession && g.belongsTo(r, old, redeemed.Session) { // another tab has just begun it
		site.remember(w, st.lost(), redeemed.Session.Key())
		g.finish(w, r, site, st)
		return
	}
	token, err := g.Server.Sessions.BeginSite(r.Context(), redeemed.Session, g.Client.ID, st.ID)
	if err != nil {
		if errors.Is(err, session.ErrNone) {
			g.restart(v, w, r, site, st)
			return
		}
		g.failed(w, r, err)
		return
	}
	if hadSession {
		// The new site session replaces the old one in this browser. If this
		// fails, the old one still ends with its SSO session.
		_ = g.Server.Sessions.EndSite(r.Context(), old)
	}
	site.Cookie.Set(w, token.Encode(), g.Lifetime)
	site.remember(w, st.lost(), redeemed.Session.Key())
	g.formOwner(v, w, r, site, redeemed.User)
	g.finish(w, r, site, st)
}

// notRedeemed answers when the portal refused the code.
func (g *Gate) notRedeemed(v *request, w http.ResponseWriter, r *http.Request, site *Site, st state, refusal *oauth.Error) {
	switch refusal.Kind {
	case oauth.Internal:
		g.failed(w, r, refusal)
	case oauth.TooManyCodes: // the code can still be redeemed
		g.tooMany(w, r, site, st.Return, refusal.RetryAfter)
	default:
		g.restart(v, w, r, site, st)
	}
}

// openAnswer reads the portal's answer in the query of the callback: the state, which must
// be of this site, and the code. Otherwise it answers the request and returns false.
func (g *Gate) openAnswer(w http.ResponseWriter, r *http.Request, site *Site) (st state, code string, ok bool) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["state"]) != 1 || len(q["code"]) > 1 {
		g.unfinished(w, r, page.ReasonAnswerDamaged)
		return state{}, "", false
	}
	st, err = g.unseal(r.Context(), q.Get("state"))
	if err != nil {
		if !errors.Is(err, keys.ErrSealed) {
			g.failed(w, r, err)
			return state{}, "", false
		}
		if n := g.notOpened.Due(g.Now()); n > 0 {
			g.Log.Warn("the state of an answer cannot be opened: if people meet this, the nodes that serve this site have different keys, and need the same storage",
				zap.String("setting", "storage"), zapOrigin(site), zapClient(g.Client), zap.Int("requests", n))
		}
		g.discard(r, site, q.Get("code"), "its state is not one of ours")
		g.unfinished(w, r, page.ReasonAnswerUnknown)
		return state{}, "", false
	}
	if st.Client != g.Client.ID || st.Origin != site.Origin || !localPath(st.Return) {
		g.discard(r, site, q.Get("code"), "its state is of another site")
		g.unfinished(w, r, page.ReasonAnswerCrossSite)
		return state{}, "", false
	}
	if q.Has("error") {
		g.unfinished(w, r, page.ReasonAnswerRefused)
		return state{}, "", false
	}
	return st, q.Get("code"), true
}

// siteSessionLives reports whether the cookie's site session is valid.
func (g *Gate) siteSessionLives(r *http.Request, cookie string) bool {
	_, err := g.Server.SignedInAtSite(r.Context(), cookie, g.Client.ID)
	return err == nil
}

// belongsTo reports whether the cookie's site session belongs to an SSO session.
func (g *Gate) belongsTo(r *http.Request, cookie string, sso *session.Session) bool {
	found, err := g.Server.Sessions.CheckSite(r.Context(), cookie, g.Client.ID)
	return err == nil && found.Key() == sso.Key()
}

// finish redirects to the page that the user first asked for, or notifies the page
// that opened the window.
func (g *Gate) finish(w http.ResponseWriter, r *http.Request, site *Site, st state) {
	if st.Window != "" {
		g.Pages.PopupDone(w, r, page.PopupDone{
			App: g.Client.Name, Channel: channel, Nonce: st.Window, ReturnURL: site.Origin + st.Return,
		})
		return
	}
	httpapi.Redirect(w, http.StatusFound, site.Origin+st.Return)
}

// restart begins the sign-in again. The user notices nothing while the portal has a
// session. The number of attempts is limited: a browser that keeps no cookies would
// repeat this for ever.
func (g *Gate) restart(v *request, w http.ResponseWriter, r *http.Request, site *Site, st state) {
	t := g.attemptOf(v, r, site, st)
	if st.Attempt+1 < t.tooMany() {
		if t.crowded() {
			pause(r.Context(), time.Duration(st.Attempt)*crowdPause)
		}
		g.startAtPortal(v, w, r, site, signInStart{returnTo: st.Return, window: st.Window, attempt: st.Attempt + 1, lost: st.lost(), authAfter: st.authAfter()})
		return
	}
	g.redirectLoop(w, r, site, t.cause(), t, st.Return)
}

// discard invalidates the code of an answer that this browser did not ask for. If
// several tabs begin a sign-in before the browser has a cookie, each comes back with
// a code that is bound to another tab. A hostile page can also send a browser to the
// portal many times with its own state and challenge. Live codes count against the
// user's limit, so these codes are invalidated at once. An attacker who has a code
// from elsewhere can only make its owner begin the sign-in again.
func (g *Gate) discard(r *http.Request, site *Site, code, why string) {
	if code != "" {
		g.Server.DiscardCode(r.Context(), oauth.CodeRequest{
			Client: g.Client, Code: code, RedirectURI: site.URI, From: g.From(r),
		}, why)
	}
}

// discardPosted refuses an answer that the portal's page posts (response mode
// form_post). It returns false for any other request. No gate asks for this response
// mode, but any page can make the portal use it. A redirect URI without a path is also
// the backend's start page, and the backend must not get the code.
func (g *Gate) discardPosted(w http.ResponseWriter, r *http.Request, site *Site) bool {
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
