package loginapi

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
)

var revokeParams = []string{"token", "token_type_hint", "client_id", "client_secret"}

// revoke answers POST /api/oauth2/token/revoke (RFC 7009). An unknown token is
// answered as if it were revoked.
func (a *API) revoke(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodPost) {
		return
	}
	p, ok := a.form(w, r, revokeParams)
	if !ok {
		return
	}
	client, refusal := a.authenticate(r, p)
	refusal = refusal.And(p.require("token"))
	if refusal == nil {
		refusal = a.Server.Revoke(r.Context(), client, p.get("token"), a.From(r))
	}
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	httpapi.WriteEmpty(w, http.StatusOK)
}

// validate answers POST /api/token/validate: 204 for a valid access token.
func (a *API) validate(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodPost) {
		return
	}
	body, ok := a.jsonBody(w, r, "token")
	if !ok {
		return
	}
	if _, refusal := a.verify(r, body["token"]); refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	httpapi.WriteEmpty(w, http.StatusNoContent)
}
