package oidc

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
)

// NotFound answers a path below /oauth2/ without an endpoint. It uses only Pages and
// the server's clients.
func (a *API) NotFound(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.scripts().Unknown(w, r):
	case httpapi.IsNavigation(r.Header):
		a.Pages.NotFound(w, r, "")
	default:
		httpapi.WriteJSON(w, http.StatusNotFound, errorBody{"invalid_request", "There is no such endpoint."})
	}
}
