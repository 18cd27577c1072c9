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

// signOut ends site session and SSO session. A form of this site does it, or a
// link on this site; for any other request it asks first, since another site
// could have sent it.
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
		g.failed(w, r, err) // it may not be over
		return
	}
	site.Cookie.Clear(w)
	if !wantsPageOrForm(r) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !ended { // only the portal knows whether it is over
		g.leadOn(w, r, page.DoneSigningOut, g.portalSignOutURL(site))
		return
	}
	g.leadOn(w, r, page.DoneSignedOut, g.signedOutURL(r, site))
}

// leadOn sends a browser on: with a page where a form was sent, since its
// answer must not redirect to other origins.
func (g *Gate) leadOn(w http.ResponseWriter, r *http.Request, title page.Text, location string) {
	if r.Method == http.MethodPost {
		g.Pages.Continue(w, r, page.Continue{Title: title, URL: location})
		return
	}
	seeOther(w, location)
}

func seeOther(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// endSession ends the session of a request, also that of a user who is gone and
// might come back. It returns false where the browser may have an SSO session
// that this site does not know: the site session is over, or there was none.
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

// wantsPageOrForm tells a person who pressed a button from a script.
func wantsPageOrForm(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return httpapi.AcceptsHTML(r.Header)
}

// signedOutURL is where a person goes after signing out: what return names, if
// it is registered, else the gate's fail_auth_url, else the portal, which is
// told where to come back to.
func (g *Gate) signedOutURL(r *http.Request, site *Site) string {
	if to := r.URL.Query().Get("return"); g.Client.FailAuthURL(to) {
		return to
	}
	if u := g.Policy.FailAuthURL; u != nil {
		return u.String()
	}
	return g.portalSignOutURL(site)
}

// portalSignOutURL is the portal's page, which asks whoever has a session there
// whether to end it.
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
		if !site.Portal { // whose session may be another one
			g.leadOn(w, r, page.DoneSigningOut, g.portalSignOutURL(site))
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
