package oidc

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
)

// NotFound answers a path below /oauth2/ that nobody else answers. Of the fields
// it needs Pages and the server's clients alone.
func (a *API) NotFound(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.scripts().Unknown(w, r):
	case httpapi.IsNavigation(r.Header):
		a.Pages.NotFound(w, r, "")
	default:
		httpapi.WriteJSON(w, http.StatusNotFound, errorBody{"invalid_request", "There is no such endpoint."})
	}
}
