package oidc

import (
	"net/http"
	"slices"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// userInfoBody has the claims of the user that the scopes of the token allow (OpenID
// Connect Core section 5.3.2).
type userInfoBody struct {
	Subject string `json:"sub"`
	oauth.UserClaims
}

// userInfo answers GET and POST /oauth2/userinfo.
func (a *API) userInfo(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	token, ok := a.bearer(w, r)
	if !ok {
		return
	}
	v, refusal := a.Server.VerifyAccess(r.Context(), token)
	switch {
	case refusal != nil && refusal.Kind == oauth.InvalidToken:
		challenge(w, http.StatusUnauthorized, "invalid_token", refusal.Description)
		return
	case refusal != nil:
		a.refuse(w, r, refusal)
		return
	case v.Claims.Grant == "" || v.Claims.Product != "":
		challenge(w, http.StatusUnauthorized, "invalid_token", "The token is of no user, or for the activation of a license.")
		return
	case !slices.Contains(v.Claims.Scopes, "openid"):
		challenge(w, http.StatusForbidden, "insufficient_scope", "The token should have scope openid.")
		return
	}
	httpapi.WriteJSON(w, http.StatusOK, userInfoBody{v.User.Subject, oauth.NewUserClaims(v.User, v.Claims.Scopes)})
}

// bearer reads the access token of a request (RFC 6750 section 2) from the header or
// from a form in the body, never from the query. Without one it answers the request
// and returns false.
func (a *API) bearer(w http.ResponseWriter, r *http.Request) (string, bool) {
	header := r.Header.Values("Authorization")
	token := httpapi.Bearer(r)
	if r.Method == http.MethodPost && httpapi.IsForm(r) {
		p, ok := a.form(w, r, []string{"access_token"})
		if !ok {
			return "", false
		}
		if p["access_token"] != "" && len(header) > 0 {
			challenge(w, http.StatusBadRequest, "invalid_request", "The token should be in the header or in the body, not in both.")
			return "", false
		}
		if len(header) == 0 {
			token = p["access_token"]
		}
	}
	switch {
	case len(header) > 1:
		challenge(w, http.StatusBadRequest, "invalid_request", "The request has more than one Authorization header.")
	case token == "":
		challenge(w, http.StatusUnauthorized, "", "")
	default:
		return token, true
	}
	return "", false
}

// challenge refuses a request without a valid token (RFC 6750 section 3). A request
// without any token gets no error code.
func challenge(w http.ResponseWriter, status int, code, description string) {
	if code == "" {
		w.Header().Set("Www-Authenticate", httpapi.BearerChallenge)
		httpapi.WriteEmpty(w, status)
		return
	}
	value := `Bearer error="` + code + `", error_description="` + description + `"`
	if code == "insufficient_scope" {
		value += `, scope="openid"`
	}
	w.Header().Set("Www-Authenticate", value)
	httpapi.WriteJSON(w, status, errorBody{code, description})
}
