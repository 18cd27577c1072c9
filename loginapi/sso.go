package loginapi

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/endpoint"
	"github.com/caddy-sso/caddy-sso/oauth"
)

type loginURLBody struct {
	LoginURL string `json:"login_url"`
}

var errDeniedOrigin = &oauth.Error{Kind: oauth.Denied, Description: "Request denied: the origin is not registered."}

// sso answers GET /api/oauth2/sso, the session check for scripts: the redirect
// URI with a code and the state, as data.
func (a *API) sso(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodGet) {
		return
	}
	if a.forged(r) {
		a.denyOrigin(w, r, nil)
		return
	}
	authorization, ok := a.asked(w, r, a.Server.Clients.CheckAuthorize)
	if !ok {
		return
	}
	in, ok, refusal := endpoint.SignedIn(r, a.Server, a.Cookie)
	if refusal != nil {
		a.refuse(w, refusal)
		return
	}
	if !ok || !authorization.Accepts(in) {
		a.refuse(w, &oauth.Error{Kind: oauth.LoginRequired, Description: "Unauthorized user."})
		return
	}
	code, refusal := a.Server.IssueCode(r.Context(), authorization, in, a.From(r))
	if refusal != nil {
		a.refuse(w, refusal)
		return
	}
	endpoint.WriteJSON(w, http.StatusOK, loginURLBody{authorization.Callback(code)})
}

// clearSSO answers GET /api/oauth2/clear_sso: it ends the browser's session.
// Another site may lead a person here, but may not do it behind their back, as
// an image or a script.
func (a *API) clearSSO(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodGet) {
		return
	}
	if a.forged(r) {
		a.denyOrigin(w, r, nil)
		return
	}
	if cookie, ok := a.Cookie.Value(r); ok {
		if err := a.Server.SignOut(r.Context(), cookie, a.From(r)); err != nil {
			a.refuse(w, oauth.Unavailable(err))
			return
		}
	}
	a.Cookie.Clear(w)
	endpoint.WriteEmpty(w, http.StatusNoContent)
}

// denyOrigin refuses a request of a page that may not make it. The client is
// nil where it was not looked at.
func (a *API) denyOrigin(w http.ResponseWriter, r *http.Request, client *oauth.Client) {
	why := "the request came from another site, or does not say from where"
	if origin := r.Header.Get("Origin"); origin != "" {
		if len(origin) > maxLogged || !oauth.CleanText(origin) {
			origin = "(unprintable)"
		}
		why = "the origin is not registered: " + origin
	}
	a.Server.Audit.Record(oauth.Event{What: oauth.AccessDenied, Client: client, From: a.From(r), Why: why})
	a.refuse(w, errDeniedOrigin)
}

// maxLogged bounds, in bytes, what a request can bring into the log.
const maxLogged = 256

// forged says whether a page of an unregistered origin sent the request as a
// subresource (Fetch Metadata, section 2).
func (a *API) forged(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		return origin != a.Server.Issuer && !a.Server.Clients.RegisteredOrigin(origin)
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		return a.CrossSite // nothing tells whose request it is
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}
