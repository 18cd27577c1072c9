package oidc

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

var revokeParams = []string{"token", "token_type_hint", "client_id", "client_secret"}

// revoke answers POST /oauth2/revoke (RFC 7009): it ends the grant of a refresh or
// access token. An unknown token is answered as if it were revoked.
func (a *API) revoke(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodPost) {
		return
	}
	client, p, ok := a.clientForm(w, r, revokeParams)
	switch {
	case !ok:
		return
	case p["token"] == "":
		a.refuse(w, r, oauth.MissingParam("token"))
		return
	}
	if refusal := a.Server.Revoke(r.Context(), client, p["token"], a.From(r)); refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	httpapi.WriteEmpty(w, http.StatusOK)
}
