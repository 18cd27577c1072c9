package oidc

import (
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// keys answers GET /oauth2/jwks with the public keys that sign the tokens of all
// clients (RFC 7517 section 5).
func (a *API) keys(w http.ResponseWriter, r *http.Request) {
	if !allowedPublic(w, r) {
		return
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, alg := range a.Server.Clients.Algorithms() {
		public, err := a.Server.Keys.Public(r.Context(), alg)
		if err != nil {
			a.refuse(w, r, oauth.Unavailable(err))
			return
		}
		set.Keys = append(set.Keys, public...)
	}
	httpapi.WritePublic(w, "application/jwk-set+json", set)
}
