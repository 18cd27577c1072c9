package loginapi

import (
	"net/http"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

var errSessions = oauth.InvalidParam("sessions", "in query should be one of [sso all]")

// logout answers GET /api/oauth2/logout: it ends the SSO session of an access token,
// or all sessions and tokens of its user.
func (a *API) logout(w http.ResponseWriter, r *http.Request) {
	if !a.allowedScript(w, r, http.MethodGet) {
		return
	}
	p, refusal := parseParams(r.URL.RawQuery, []string{"sessions"})
	if refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	end := map[string]func(*oauth.Verified) *oauth.Error{
		"sso": func(v *oauth.Verified) *oauth.Error { return a.Server.SignOutByToken(r.Context(), v, a.From(r)) },
		"all": func(v *oauth.Verified) *oauth.Error { return a.Server.SignOutEverywhere(r.Context(), v, a.From(r)) },
	}[p.get("sessions")]
	if end == nil {
		a.refuse(w, r, errSessions)
		return
	}
	v, ok := a.bearer(w, r)
	if !ok {
		return
	}
	if refusal := end(v); refusal != nil {
		a.refuse(w, r, refusal)
		return
	}
	httpapi.WriteEmpty(w, http.StatusNoContent)
}
