package loginapi

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// bearer verifies the access token of a request. Without a valid token it answers the
// request and returns false.
func (a *API) bearer(w http.ResponseWriter, r *http.Request) (*oauth.Verified, bool) {
	token := httpapi.Bearer(r)
	if token == "" {
		w.Header().Set("Www-Authenticate", httpapi.BearerChallenge)
		a.refuse(w, r, &oauth.Error{Kind: oauth.LoginRequired, Description: "Unauthorized user: the Authorization header should be Bearer and an access token."})
		return nil, false
	}
	v, refusal := a.verify(r, token)
	if refusal != nil {
		if refusal.Kind == oauth.InvalidToken {
			w.Header().Set("Www-Authenticate", `Bearer error="invalid_token"`)
		}
		a.refuse(w, r, refusal)
		return nil, false
	}
	return v, true
}

// verify is VerifyAccess for this API, which refuses tokens for license activation.
func (a *API) verify(r *http.Request, token string) (*oauth.Verified, *oauth.Error) {
	v, refusal := a.Server.VerifyAccess(r.Context(), token)
	if refusal == nil && v.Claims.License != (oauth.License{}) {
		return nil, oauth.ForeignToken()
	}
	return v, refusal
}
