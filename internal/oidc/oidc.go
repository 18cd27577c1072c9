// Package oidc is the face that speaks standard OAuth 2.0 and OpenID Connect:
// discovery, authorization, tokens, keys, introspection, user info, and
// sign-out. One file an endpoint. It parses and renders; the decisions are
// taken in package oauth.
package oidc

import (
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/session"
)

// An API answers the endpoints of OAuth 2.0 and OpenID Connect. Its fields are
// set once.
type API struct {
	Server *oauth.Server

	// Cookie carries the SSO session.
	Cookie session.Cookie

	// HostedPage is where a browser signs in, given the query of the request
	// that it comes back to.
	HostedPage func(rawQuery string) string

	// ConsentPage is where a person is asked whether a client may have what it asks
	// for, given the same.
	ConsentPage func(rawQuery string) string

	// SessionsPage is where a user ends sessions to free a seat, given the same.
	SessionsPage func(rawQuery string) string

	// SignOutPage asks the user whether to sign out. Its query may hold
	// client_id, post_logout_redirect_uri and state.
	SignOutPage func(query url.Values) string

	Pages *page.Pages

	// From says where a request comes from, for the audit log.
	From func(*http.Request) oauth.Origin

	Log *zap.Logger
}

// The paths of this API, below the issuer.
const (
	configurationPath = "/.well-known/openid-configuration"
	metadataPath      = "/.well-known/oauth-authorization-server"
	authorizePath     = "/oauth2/authorize"
	tokenPath         = "/oauth2/token" //nolint:gosec // no credential
	keysPath          = "/oauth2/jwks"
	introspectPath    = "/oauth2/introspect"
	revokePath        = "/oauth2/revoke"
	userInfoPath      = "/oauth2/userinfo"
	endSessionPath    = "/oauth2/end_session"
)

// Endpoint returns what answers a path, or nil for a path that is not this
// API's.
func (a *API) Endpoint(path string) http.HandlerFunc {
	switch path {
	case configurationPath, metadataPath:
		return a.configuration
	case authorizePath:
		return a.authorize
	case tokenPath:
		return a.token
	case keysPath:
		return a.keys
	case introspectPath:
		return a.introspect
	case revokePath:
		return a.revoke
	case userInfoPath:
		return a.userInfo
	case endSessionPath:
		return a.endSession
	}
	return nil
}

// allowed says whether an endpoint knows the method of a request, and answers
// 405 where it does not.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if httpapi.AllowMethods(w, r, methods...) {
		return true
	}
	httpapi.WriteJSON(w, http.StatusMethodNotAllowed, errorBody{"invalid_request", "The method is not allowed."})
	return false
}

// allowedPublic is allowed for a document that anybody may read. It answers
// preflights.
func allowedPublic(w http.ResponseWriter, r *http.Request) bool {
	methods := []string{http.MethodGet, http.MethodHead}
	return !httpapi.PublicPreflight(w, r, methods...) && allowed(w, r, methods...)
}

// allowedScript is allowed for an endpoint that scripts on other origins call,
// without cookies. It answers preflights.
func (a *API) allowedScript(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	return !a.scripts().Preflight(w, r, methods...) && allowed(w, r, methods...)
}

func (a *API) scripts() httpapi.CORS {
	return httpapi.CORS{Clients: a.Server.Clients, Headers: "Retry-After, WWW-Authenticate"}
}
