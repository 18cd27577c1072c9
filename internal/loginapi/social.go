package loginapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// socialPrefix is followed by the ID of a sign-in method and the name of the endpoint.
const socialPrefix = "/api/oauth2/social/"

type urlBody struct {
	URL string `json:"url"`
}

var errUnknownProvider = &oauth.Error{Kind: oauth.UnknownProvider, Description: "Object not found: there is no such provider."}

// social returns the handler of a path below socialPrefix, or nil.
func (a *API) social(rest string) http.HandlerFunc {
	id, what, _ := strings.Cut(rest, "/")
	if id == "" {
		return nil
	}
	switch what {
	case "login_url":
		return func(w http.ResponseWriter, r *http.Request) { a.socialURL(w, r, id) }
	case "login_redirect":
		return func(w http.ResponseWriter, r *http.Request) { a.socialRedirect(w, r, id) }
	}
	return nil
}

// socialURL answers GET /api/oauth2/social/{provider}/login_url with the URL at which
// a sign-in at a provider starts. It is a URL of the portal, since the portal accepts
// the provider's answer only from the browser that started there.
func (a *API) socialURL(w http.ResponseWriter, r *http.Request, id string) {
	if !a.allowedScript(w, r, http.MethodGet) {
		return
	}
	authorization, ok := a.asked(w, r, a.Server.Clients.CheckAuthorize, nil)
	if !ok {
		return
	}
	if !a.Provider(authorization, id) {
		a.refuse(w, r, errUnknownProvider)
		return
	}
	httpapi.WriteJSON(w, http.StatusOK, urlBody{a.Server.Issuer + socialPrefix + url.PathEscape(id) + "/login_redirect?" + a.complete(r)})
}

// socialRedirect answers GET /api/oauth2/social/{provider}/login_redirect: it
// redirects to the provider. After the provider's answer, the sign-in goes on as from
// the hosted page.
func (a *API) socialRedirect(w http.ResponseWriter, r *http.Request, id string) {
	if !a.allowed(w, r, http.MethodGet) {
		return
	}
	if r.Header.Get("Sec-Fetch-Mode") == "no-cors" {
		a.refuse(w, r, errNotANavigation)
		return
	}
	authorization, ok := a.asked(w, r, a.Server.Clients.CheckAuthorize, nil)
	if !ok {
		return
	}
	to, refusal := a.Leave(w, r, authorization, a.complete(r), id)
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	httpapi.Redirect(w, http.StatusFound, to)
}

// complete is the query of a checked request, with its defaults filled in and without
// unknown parameters.
func (a *API) complete(r *http.Request) string {
	request, _ := ParseAuthorize(r.URL.RawQuery)
	request = a.Server.Clients.Defaults(request)
	q := url.Values{"scope": {strings.Join(request.Scope, " ")}}
	for name, value := range map[string]string{
		"response_type": request.ResponseType, "client_id": request.ClientID, "redirect_uri": request.RedirectURI, "state": request.State,
		"audience": strings.Join(request.Audience, " "), "fail_auth_url": request.FailAuthURL,
		"code_challenge": request.CodeChallenge, "code_challenge_method": request.CodeChallengeMethod,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, flag := range map[string]bool{
		"popup": request.Popup, "widget_only": request.WidgetOnly,
		"enable_post_message_login": request.PostMessageLogin, "disable_socials": request.DisableSocials,
	} {
		if flag {
			q.Set(name, strconv.FormatBool(flag))
		}
	}
	return q.Encode()
}
