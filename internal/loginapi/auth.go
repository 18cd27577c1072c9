package loginapi

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

const authPath = "/api/oauth2/auth"

var authParams = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "audience",
	"code_challenge", "code_challenge_method", "fail_auth_url",
	"popup", "widget_only", "enable_post_message_login", "disable_socials",
	oauth.AuthAfterParam,
}

// ParseAuthorize parses the query of the authorization endpoint. The hosted page
// parses the same query, to come back here after the sign-in. Faults of single
// parameters are kept in the request, so that one error can name all faults.
func ParseAuthorize(rawQuery string) (oauth.AuthorizeRequest, *oauth.Error) {
	if len(rawQuery) > httpapi.MaxQuery {
		return oauth.AuthorizeRequest{}, httpapi.ErrTooLong
	}
	p, wrong := parseParams(rawQuery, authParams)
	r := oauth.AuthorizeRequest{
		ResponseType:        p.get("response_type"),
		ClientID:            p.get("client_id"),
		RedirectURI:         p.get("redirect_uri"),
		State:               p.get("state"),
		Audience:            oauth.SplitList(p.get("audience")),
		CodeChallenge:       p.get("code_challenge"),
		CodeChallengeMethod: p.get("code_challenge_method"),
		FailAuthURL:         p.get("fail_auth_url"),
	}
	if p.has("scope") {
		r.Scope = oauth.SplitList(p.get("scope"))
	}
	r.WidgetOnly = p.serviceFlag("widget_only")
	r.PostMessageLogin = p.serviceFlag("enable_post_message_login")
	r.DisableSocials = p.serviceFlag("disable_socials")
	var refusal *oauth.Error
	r.Popup, refusal = p.flag("popup")
	var err error
	if r.AuthAfter, err = oauth.ParseAuthAfter(p.get(oauth.AuthAfterParam)); err != nil {
		refusal = refusal.And(oauth.InvalidParam(oauth.AuthAfterParam, err.Error()+"."))
	}
	r.Malformed = wrong.And(refusal)
	return r, nil
}

// auth answers GET /api/oauth2/auth: it checks the session and redirects with a
// code. Errors never redirect.
func (a *API) auth(w http.ResponseWriter, r *http.Request) {
	if !a.allowed(w, r, http.MethodGet) {
		return
	}
	// A code for an image or a script would never be redeemed, but counts against the
	// user's limit (Fetch Metadata, section 2.2).
	if r.Header.Get("Sec-Fetch-Mode") == "no-cors" {
		a.refuse(w, r, errNotANavigation)
		return
	}
	request, refusal := ParseAuthorize(r.URL.RawQuery)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	authorization, refusal := a.Server.Clients.CheckAuthorize(request)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	in, ok, refusal := httpapi.SignedIn(r, a.Server, a.Cookie)
	if refusal != nil {
		a.refuseNow(w, r, refusal)
		return
	}
	if !ok || !authorization.Accepts(in) {
		if authorization.FailAuthURL != "" {
			httpapi.Redirect(w, http.StatusFound, authorization.FailCallback(a.resume(r.URL.RawQuery)))
			return
		}
		httpapi.Redirect(w, http.StatusFound, a.HostedPage(r.URL.RawQuery))
		return
	}
	code, refusal := a.Server.IssueCode(r.Context(), authorization, in, a.From(r))
	switch {
	case refusal != nil && refusal.Kind == oauth.ConsentRequired:
		httpapi.Redirect(w, http.StatusFound, a.ConsentPage(r.URL.RawQuery))
		return
	case refusal != nil:
		a.refuseNow(w, r, refusal)
		return
	}
	if !authorization.Presentation.Popup {
		httpapi.Redirect(w, http.StatusFound, authorization.Callback(code))
		return
	}
	widget, err := a.Widget(r.Context(), authorization, code)
	if err != nil {
		a.refuseNow(w, r, oauth.Unavailable(err))
		return
	}
	httpapi.Redirect(w, http.StatusFound, widget)
}

// Deny answers a request that the user did not allow. It sends the error to the
// callback, and in a popup to the opener, too. It answers the form of the consent
// page, so it uses a page with a link: see [page.Continue].
func (a *API) Deny(w http.ResponseWriter, r *http.Request, authorization *oauth.Authorization) {
	switch {
	case authorization.Presentation.Popup:
	case authorization.CustomScheme():
		a.Pages.Application(w, r, page.Application{Outcome: page.OutcomeNotAllowed, App: authorization.Client.Name, URL: authorization.DeniedCallback()})
		return
	default:
		a.Pages.Continue(w, r, page.Continue{Title: page.DoneNotAllowed, App: authorization.Client.Name, URL: authorization.DeniedCallback()})
		return
	}
	widget, err := a.Widget(r.Context(), authorization, "")
	if err != nil {
		a.refuseNow(w, r, oauth.Unavailable(err))
		return
	}
	httpapi.Redirect(w, http.StatusSeeOther, widget)
}

// refuseNow is refuse for an error that may be over soon. A browser gets a page that
// tries again, since its user cannot use JSON.
func (a *API) refuseNow(w http.ResponseWriter, r *http.Request, e *oauth.Error) {
	httpapi.Refresh(w.Header(), r, e.RetryAfter)
	a.refuse(w, r, e)
}

var errNotANavigation = oauth.Invalid("This address is for navigations and scripts, not for an image or another part of a page.")

// resume is the portal URL that continues a request after the sign-in: the same
// request without its fail_auth_url. If there is still no session, it ends at the
// hosted page.
func (a *API) resume(rawQuery string) string {
	return a.Server.Issuer + authPath + "?" + httpapi.WithoutParams(rawQuery, "fail_auth_url")
}
