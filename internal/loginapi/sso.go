package loginapi

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

type loginURLBody struct {
	LoginURL string `json:"login_url"`
}

var errDeniedOrigin = &oauth.Error{Kind: oauth.Denied, Description: "Request denied: the origin is not registered."}

// sso answers GET /api/oauth2/sso, the session check for scripts: it returns the
// redirect URI with a code and the state as JSON.
func (a *API) sso(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodGet) {
		return
	}
	if a.forged(r) {
		a.denyOrigin(w, r, nil)
		return
	}
	authorization, ok := a.asked(w, r, a.Server.Clients.CheckAuthorize, nil)
	if !ok {
		return
	}
	in, ok, refusal := httpapi.SignedIn(r, a.Server, a.Cookie)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	if !ok || !authorization.Accepts(in) {
		a.refuse(w, r, &oauth.Error{Kind: oauth.LoginRequired, Description: "Unauthorized user."})
		return
	}
	code, refusal := a.Server.IssueCode(r.Context(), authorization, in, a.From(r))
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	httpapi.WriteJSON(w, http.StatusOK, loginURLBody{authorization.Callback(code)})
}

// clearSSO answers GET /api/oauth2/clear_sso: it ends the browser's session. It does
// so at once for a program, for a script of a registered origin, and for a link on a
// registered origin. After a link on any other site it asks the user first. It
// refuses images and scripts of other sites.
func (a *API) clearSSO(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodGet) {
		return
	}
	switch {
	case a.led(r):
		httpapi.Redirect(w, http.StatusFound, a.SignOutPage)
		return
	case a.forged(r):
		a.denyOrigin(w, r, nil)
		return
	}
	if cookie, ok := a.Cookie.Value(r); ok {
		if err := a.Server.SignOut(r.Context(), cookie, a.From(r)); err != nil {
			a.refuse(w, r, oauth.Unavailable(err))
			return
		}
	}
	a.Cookie.Clear(w)
	httpapi.WriteEmpty(w, http.StatusNoContent)
}

// denyOrigin refuses a request from a page of an origin that may not make it. The
// client is nil if it is not known.
func (a *API) denyOrigin(w http.ResponseWriter, r *http.Request, client *oauth.Client) {
	why, origin := "the request came from another site, or does not say from where", r.Header.Get("Origin")
	if origin != "" {
		why = "the origin is not registered"
		if len(origin) > maxLogged || !oauth.CleanText(origin) {
			origin = "(unprintable)"
		}
	}
	a.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, Client: client, From: a.From(r), Why: why, Said: origin})
	a.refuse(w, r, errDeniedOrigin)
}

// maxLogged bounds, in bytes, text that a request brings into the log.
const maxLogged = 256

// led reports whether a link on a page of an unregistered origin may have led here,
// or the browser prefetches the page. Browsers send no Origin when they navigate, so
// the Referer decides; a page without a Referer counts as unregistered. Programs send
// none of these headers.
func (a *API) led(r *http.Request) bool {
	if httpapi.Prefetches(r.Header) {
		return true
	}
	if r.Header.Get("Origin") != "" {
		return false
	}
	referer := httpapi.RefererOrigin(r.Header)
	registered := referer == a.Server.Issuer || a.Server.Clients.RegisteredOrigin(referer)
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "": // a browser without Fetch Metadata, or a program
		return !registered && (r.Header.Get("Referer") != "" || httpapi.AcceptsHTML(r.Header))
	}
	return !registered && navigates(r.Header)
}

// navigates reports whether the browser says that it navigates (Fetch Metadata,
// section 2).
func navigates(h http.Header) bool {
	return h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
}

// forged reports whether a page of an unregistered origin sent the request as a
// subresource, or any page as an image or frame, which its users may have written.
func (a *API) forged(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		return origin != a.Server.Issuer && !a.Server.Clients.RegisteredOrigin(origin)
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return !httpapi.IsNavigationOrScript(r.Header)
	case "":
		return a.CrossSite // no header names the origin of the request
	}
	return !navigates(r.Header)
}
