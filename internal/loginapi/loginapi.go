// Package loginapi is the HTTP API package of the Login API: the endpoints below
// /api/oauth2/, /api/projects/, /api/token/ and /api/users/, byte for byte as
// existing clients know them. Each endpoint, or family of endpoints, has one file.
// The package parses requests and renders answers; package oauth decides.
package loginapi

import (
	"context"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// An API answers the Login API's endpoints. Its fields are set once.
type API struct {
	Server *oauth.Server

	// Cookie is the cookie of the SSO session.
	Cookie session.Cookie

	// CrossSite means that browsers send the cookie from any site. Then the endpoints
	// for scripts answer only registered origins.
	CrossSite bool

	// HostedPage returns the URL of the sign-in page, given the query of the request
	// to come back to.
	HostedPage func(rawQuery string) string

	// ConsentPage returns the URL of the consent page, given the query of the request
	// to come back to.
	ConsentPage func(rawQuery string) string

	// SignOutPage shows the page that asks whether to sign out.
	SignOutPage string

	// Widget shows the last page of a popup: it notifies the opener, and then follows
	// the callback with the code. Without a code, the user denied the request.
	Widget func(ctx context.Context, a *oauth.Authorization, code string) (string, error)

	// SignIn begins a session for a name and a password, and sets its cookie.
	SignIn func(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, name, password string) (oauth.SignedIn, *oauth.Error)

	// Provider reports whether a request allows the provider with an ID. Leave
	// returns the URL at which the browser starts the sign-in there, given the query
	// to go on with.
	Provider func(a *oauth.Authorization, id string) bool
	Leave    func(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, rawQuery, id string) (string, *oauth.Error)

	// Pages renders the pages for errors.
	Pages *page.Pages

	// From returns the origin of a request, for the audit log.
	From func(*http.Request) oauth.Origin

	Log *zap.Logger
}

// Endpoint returns the handler of a path, or nil for a path that is not of this API.
func (a *API) Endpoint(path string) http.HandlerFunc {
	switch path {
	case authPath:
		return a.auth
	case "/api/oauth2/token":
		return a.token
	case "/api/oauth2/sso":
		return a.sso
	case "/api/oauth2/clear_sso":
		return a.clearSSO
	case "/api/oauth2/login":
		return a.login
	case "/api/oauth2/login/token":
		return a.loginToken
	case "/api/oauth2/logout":
		return a.logout
	case "/api/oauth2/token/revoke":
		return a.revoke
	case "/api/token/validate":
		return a.validate
	case "/api/users/me":
		return a.me
	}
	if rest, ok := strings.CutPrefix(path, socialPrefix); ok {
		return a.social(rest)
	}
	if id, ok := strings.CutPrefix(path, "/api/projects/"); ok {
		if id, ok = strings.CutSuffix(id, "/keys"); ok && !strings.Contains(id, "/") {
			return func(w http.ResponseWriter, r *http.Request) { a.projectKeys(w, r, id) }
		}
	}
	return nil
}

// allowed reports whether an endpoint accepts the method of a request. If not, it
// answers 405.
func (a *API) allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if httpapi.AllowMethods(w, r, methods...) {
		return true
	}
	a.writeError(w, r, http.StatusMethodNotAllowed, "0", oauth.Invalid("The method is not allowed."))
	return false
}

// allowedScript is allowed for an endpoint that scripts of other origins call, with
// or without cookies. It answers preflights.
func (a *API) allowedScript(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	return !a.scripts().Preflight(w, r, methods...) && a.allowed(w, r, methods...)
}

func (a *API) scripts() httpapi.CORS {
	return httpapi.CORS{Clients: a.Server.Clients, Cookies: true, Headers: "Retry-After"}
}

// NotFound answers a path below /api/ without an endpoint. It uses only Pages and the
// server's clients.
func (a *API) NotFound(w http.ResponseWriter, r *http.Request) {
	const code = "003-061"
	switch {
	case a.scripts().Unknown(w, r):
	case httpapi.IsNavigation(r.Header):
		a.Pages.NotFound(w, r, code)
	default:
		a.writeError(w, r, http.StatusNotFound, code, oauth.Invalid("Object not found: there is no such endpoint."))
	}
}
