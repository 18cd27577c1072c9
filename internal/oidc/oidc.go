// Package oidc is the HTTP API package of OAuth 2.0 and OpenID Connect: discovery,
// authorization, tokens, keys, introspection, userinfo and sign-out. Each endpoint
// has one file. The package parses requests and renders answers; package oauth
// decides.
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

	// Cookie is the cookie of the SSO session.
	Cookie session.Cookie

	// HostedPage returns the URL of the sign-in page, given the query of the request
	// to come back to.
	HostedPage func(rawQuery string) string

	// ConsentPage returns the URL of the consent page, given the same query.
	ConsentPage func(rawQuery string) string

	// SessionsPage returns the URL of the page on which a user ends sessions to free a seat, given the same query.
	SessionsPage func(rawQuery string) string

	// SignOutPage returns the URL of the page that asks whether to sign out. Its
	// query may have client_id, post_logout_redirect_uri and state.
	SignOutPage func(query url.Values) string

	Pages *page.Pages

	// From returns the origin of a request, for the audit log.
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

// Endpoint returns the handler of a path, or nil for a path that is not of this API.
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

// allowed reports whether an endpoint accepts the method of a request. If not, it
// answers 405.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if httpapi.AllowMethods(w, r, methods...) {
		return true
	}
	httpapi.WriteJSON(w, http.StatusMethodNotAllowed, errorBody{"invalid_request", "The method is not allowed."})
	return false
}

// allowedPublic is allowed for a public document. It answers preflights.
func allowedPublic(w http.ResponseWriter, r *http.Request) bool {
	methods := []string{http.MethodGet, http.MethodHead}
	return !httpapi.PublicPreflight(w, r, methods...) && allowed(w, r, methods...)
}

// allowedScript is allowed for an endpoint that scripts of other origins call without
// cookies. It answers preflights.
func (a *API) allowedScript(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	return !a.scripts().Preflight(w, r, methods...) && allowed(w, r, methods...)
}

func (a *API) scripts() httpapi.CORS {
	return httpapi.CORS{Clients: a.Server.Clients, Headers: "Retry-After, WWW-Authenticate"}
}
