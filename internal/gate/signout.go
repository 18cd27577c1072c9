package gate

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// signOut ends the site session and the SSO session. A form or a link of this site
// does so at once. For any other request the gate asks first, since another site may
// have sent it.
func (g *Gate) signOut(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	switch r.Method {
	case http.MethodPost:
		if err := http.NewCrossOriginProtection().Check(r); err != nil {
			g.askSignOut(v, w, r, site)
			return
		}
	case http.MethodGet:
		if r.Header.Get("Sec-Fetch-Site") != "same-origin" || httpapi.Prefetches(r.Header) || !httpapi.IsNavigationOrScript(r.Header) {
			g.askSignOut(v, w, r, site)
			return
		}
	default:
		g.notAllowed(w, r, "GET, POST")
		return
	}
	ended, err := g.endSession(v, r, site)
	if err != nil {
		g.failed(w, r, err) // the session may still be valid
		return
	}
	site.Cookie.Clear(w)
	if !wantsPageOrForm(r) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !ended { // only the portal knows whether the session has ended
		g.redirectOrPage(w, r, page.DoneSigningOut, g.portalSignOutURL(site))
		return
	}
	g.redirectOrPage(w, r, page.DoneSignedOut, g.signedOutURL(r, site))
}

// redirectOrPage sends the browser to a URL. The answer to a form is a page with a
// link, since it must not redirect to another origin (form-action in the CSP).
func (g *Gate) redirectOrPage(w http.ResponseWriter, r *http.Request, title page.Text, location string) {
	if r.Method == http.MethodPost {
		g.Pages.Continue(w, r, page.Continue{Title: title, URL: location})
		return
	}
	httpapi.Redirect(w, http.StatusSeeOther, location)
}

// endSession ends the session of a request, even if its user was removed, since the
// user may be added again. It returns false if the browser may have an SSO session that
// this site does not know: the site session has ended, or there was none.
func (g *Gate) endSession(v *request, r *http.Request, site *Site) (ended bool, err error) {
	cookie, ok := v.cookie(site.Cookie)
	switch {
	case !ok:
		return site.Portal, nil
	case site.Portal:
		return true, g.Server.SignOut(r.Context(), cookie, g.From(r))
	}
	return g.Server.SignOutAtSite(r.Context(), cookie, g.Client.ID, g.From(r))
}

// wantsPageOrForm reports whether a browser navigates, and not a script asks.
func wantsPageOrForm(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return httpapi.AcceptsHTML(r.Header)
}

// signedOutURL returns the URL to which the browser is redirected after the sign-out:
// the URL in return, if it is registered; else the gate's fail_auth_url; else the
// portal, with the URL to come back to.
func (g *Gate) signedOutURL(r *http.Request, site *Site) string {
	if to := r.URL.Query().Get("return"); g.Client.FailAuthURL(to) {
		return to
	}
	if u := g.Policy.FailAuthURL; u != nil {
		return u.String()
	}
	return g.portalSignOutURL(site)
}

// portalSignOutURL is the portal's sign-out page, which asks whether to end the SSO
// session.
func (g *Gate) portalSignOutURL(site *Site) string {
	out := g.Server.Issuer + "/sso/sign_out"
	if site.Portal {
		return out
	}
	return out + "?" + url.Values{"client_id": {g.Client.ID}, "redirect_uri": {site.URI}}.Encode()
}

func (g *Gate) askSignOut(v *request, w http.ResponseWriter, r *http.Request, site *Site) {
	in, err := g.identify(v, r, site)
	if err != nil {
		if !errors.Is(err, session.ErrNone) {
			g.failed(w, r, err)
			return
		}
		if !site.Portal { // the portal may have another session
			g.redirectOrPage(w, r, page.DoneSigningOut, g.portalSignOutURL(site))
			return
		}
		g.Pages.SignedOut(w, r, page.SignedOut{App: g.Client.Name, SignInURL: SignInPath})
		return
	}
	ask := page.SignOut{
		Person: personOf(in), App: g.Client.Name,
		Form: page.Form{Action: SignOutPath}, CancelURL: "/",
	}
	if to := r.URL.Query().Get("return"); g.Client.FailAuthURL(to) {
		ask.Form.Action += "?" + url.Values{"return": {to}}.Encode()
	}
	g.Pages.SignOut(w, r, ask)
}

func personOf(in *oauth.SignedIn) page.Person {
	return page.Person{Name: in.User.Name, Email: in.User.Email}
}
