// Package loginapi is the face that speaks the Login API: the endpoints below
// /api/oauth2/, /api/projects/, /api/token/ and /api/users/, byte for byte as
// its existing clients know them. One file an endpoint or a family. It parses and renders; the decisions are taken
// in package oauth.
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

	// Cookie carries the SSO session.
	Cookie session.Cookie

	// CrossSite says that browsers send the cookie from any site, so that the
	// endpoints for scripts answer registered origins only.
	CrossSite bool

	// HostedPage is where a browser without a session signs in, given the
	// query of the request that it comes back to.
	HostedPage func(rawQuery string) string

	// ConsentPage is where a person is asked whether a client may have what it asks
	// for, given the query of the request that it comes back to.
	ConsentPage func(rawQuery string) string

	// SignOutPage asks a person whether to sign out.
	SignOutPage string

	// Widget is the page that a popup goes by: it tells its opener, and then
	// follows the callback with the code. Without a code, the user does not allow what
	// was asked for.
	Widget func(ctx context.Context, a *oauth.Authorization, code string) (string, error)

	// SignIn begins a session for a name and a password, and sets its cookie.
	SignIn func(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, name, password string) (oauth.SignedIn, *oauth.Error)

	// Provider says whether a request may be signed in for at the provider with
	// an ID, and Leave where the browser goes for that, given the query that it
	// goes on with.
	Provider func(a *oauth.Authorization, id string) bool
	Leave    func(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, rawQuery, id string) (string, *oauth.Error)

	// Pages show errors to people.
	Pages *page.Pages

	// From says where a request comes from, for the audit log.
	From func(*http.Request) oauth.Origin

	Log *zap.Logger
}

// Endpoint returns what answers a path, or nil for a path that is not this
// API's.
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

// allowed says whether an endpoint knows the method of a request, and answers
// 405 where it does not.
func (a *API) allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if httpapi.AllowMethods(w, r, methods...) {
		return true
	}
	a.writeError(w, r, http.StatusMethodNotAllowed, "0", oauth.Invalid("The method is not allowed."))
	return false
}

// allowedScript is allowed for an endpoint that scripts on other origins call,
// with cookies, too. It answers preflights.
func (a *API) allowedScript(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	return !a.scripts().Preflight(w, r, methods...) && a.allowed(w, r, methods...)
}

func (a *API) scripts() httpapi.CORS {
	return httpapi.CORS{Clients: a.Server.Clients, Cookies: true, Headers: "Retry-After"}
}

// NotFound answers a path below /api/ that nobody else answers. Of the fields it
// needs Pages and the server's clients alone.
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
