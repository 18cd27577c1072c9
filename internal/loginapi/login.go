package loginapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// login answers POST /api/oauth2/login: it takes name and password, and returns the
// redirect URI with a code as JSON. The browser gets the cookie of a new session. If
// consent is needed, it returns the URL of the consent page instead.
func (a *API) login(w http.ResponseWriter, r *http.Request) {
	authorization, in, ok := a.passwordLogin(w, r, a.Server.Clients.CheckAuthorize)
	if !ok {
		return
	}
	code, refusal := a.Server.IssueCode(r.Context(), authorization, in, a.From(r))
	switch {
	case refusal != nil && refusal.Kind == oauth.ConsentRequired:
		httpapi.WriteJSON(w, http.StatusOK, loginURLBody{a.asks(r.URL.RawQuery, authorization)})
		return
	case refusal != nil:
		a.refuse(w, r, refusal)
		return
	}
	httpapi.WriteJSON(w, http.StatusOK, loginURLBody{authorization.Callback(code)})
}

// asks is the URL of the portal that asks for consent: the same request, with its
// defaults filled in.
func (a *API) asks(rawQuery string, authorization *oauth.Authorization) string {
	audience := make([]string, 0, len(authorization.Audience))
	for _, aud := range authorization.Audience {
		audience = append(audience, url.QueryEscape(aud)) // once more within the list
	}
	return a.resume(httpapi.WithoutParams(rawQuery, "redirect_uri", "scope", "audience") + "&" + url.Values{
		"redirect_uri": {authorization.RedirectURI},
		"scope":        {strings.Join(authorization.Scopes, " ")},
		"audience":     {strings.Join(audience, " ")},
	}.Encode())
}

// loginToken answers POST /api/oauth2/login/token: it takes name and password, and
// returns tokens. It is for public clients, and needs only client_id and scope.
func (a *API) loginToken(w http.ResponseWriter, r *http.Request) {
	authorization, in, ok := a.passwordLogin(w, r, a.Server.Clients.CheckTokenLogin)
	if !ok {
		return
	}
	tokens, refusal := a.Server.IssueTokens(r.Context(), authorization, in, a.From(r))
	a.answer(w, r, tokens, refusal)
}

// passwordLogin checks the request, and begins a session for a name and a password.
// If it cannot, it answers the request and returns false.
func (a *API) passwordLogin(
	w http.ResponseWriter, r *http.Request, check func(oauth.AuthorizeRequest) (*oauth.Authorization, *oauth.Error),
) (*oauth.Authorization, oauth.SignedIn, bool) {
	if !a.allowedScript(w, r, http.MethodPost) {
		return nil, oauth.SignedIn{}, false
	}
	// Otherwise any page could sign its visitor in as another user, or try passwords
	// from the visitor's address.
	if byBrowser(r) && a.forged(r) {
		a.denyOrigin(w, r, nil)
		return nil, oauth.SignedIn{}, false
	}
	credentials, status, wrong := readJSON(w, r, []string{"username", "password"})
	authorization, ok := a.asked(w, r, check, wrong)
	if !ok {
		return nil, oauth.SignedIn{}, false
	}
	if wrong != nil {
		a.writeError(w, r, status, "0", wrong)
		return nil, oauth.SignedIn{}, false
	}
	in, refusal := a.SignIn(w, r, authorization, credentials["username"], credentials["password"])
	if refusal != nil {
		a.refuse(w, r, refusal)
		return nil, oauth.SignedIn{}, false
	}
	return authorization, in, true
}

// asked parses the query of a script's request and checks it, and the origin of the
// request, against the client's registration. Missing optional parameters get the
// client's first value. Faults of the body are reported together with faults of the
// query; if the query is right, the caller reports them.
func (a *API) asked(
	w http.ResponseWriter, r *http.Request, check func(oauth.AuthorizeRequest) (*oauth.Authorization, *oauth.Error), ofBody *oauth.Error,
) (*oauth.Authorization, bool) {
	request, refusal := ParseAuthorize(r.URL.RawQuery)
	if refusal != nil {
		a.refuse(w, r, refusal.And(ofBody))
		return nil, false
	}
	authorization, refusal := check(a.Server.Clients.Defaults(request))
	if refusal != nil {
		a.refuse(w, r, refusal.And(ofBody))
		return nil, false
	}
	// A redirect would take the code to the client's own page. Here the calling
	// script reads it, and has chosen the code_challenge.
	if origin := r.Header.Get("Origin"); origin != "" && origin != a.Server.Issuer && !authorization.Client.HasOrigin(origin) {
		a.denyOrigin(w, r, authorization.Client)
		return nil, false
	}
	return authorization, true
}

// byBrowser reports whether a browser sent a request. Games and launchers send
// neither header, and no site can make a browser omit both from a POST.
func byBrowser(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}
