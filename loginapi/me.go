package loginapi

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/endpoint"
	"github.com/caddy-sso/caddy-sso/oauth"
)

// userBody is a user, as far as the scopes of the token allow.
type userBody struct {
	ID       string             `json:"id"`
	Username string             `json:"username"`
	Email    string             `json:"email,omitempty"`
	Picture  string             `json:"picture,omitempty"`
	Groups   []oauth.GroupClaim `json:"groups"`
}

// me answers GET and HEAD /api/users/me: who the user of an access token is, now.
func (a *API) me(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	v, ok := a.bearer(w, r)
	if !ok {
		return
	}
	if v.Claims.Grant == "" {
		a.writeError(w, r, http.StatusForbidden, "1901-0001", oauth.Invalid("Invalid token: it is of no user."))
		return
	}
	endpoint.WriteJSON(w, http.StatusOK, userBody{
		ID: v.User.Subject, Username: v.User.Name, Picture: v.User.Avatar, Groups: oauth.GroupClaims(v.User.Groups),
		Email: oauth.NewUserClaims(v.User, v.Claims.Scopes).Email,
	})
}
