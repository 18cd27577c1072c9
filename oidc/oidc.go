// Package oidc is the face that speaks standard OAuth 2.0 and OpenID Connect:
// discovery, authorization, tokens, keys, introspection, user info, and
// sign-out. One file an endpoint. It parses and renders; the decisions are
// taken in package oauth.
package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/page"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
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
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeJSON(w, http.StatusMethodNotAllowed, errorBody{"invalid_request", "The method is not allowed."})
	return false
}

// allowedScript is allowed for an endpoint that scripts on other origins call,
// without cookies: it adds CORS for the origins of registered redirect URIs,
// and for no other, and answers preflights.
func (a *API) allowedScript(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	registered := false
	if origin := r.Header.Get("Origin"); a.Server.Clients.RegisteredOrigin(origin) {
		registered = true
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return allowed(w, r, methods...)
	}
	if registered {
		header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		header.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return false
}

// signedIn checks the session of a request. Where there is none it returns
// false and no error.
func (a *API) signedIn(r *http.Request) (oauth.SignedIn, bool, *oauth.Error) {
	cookie, ok := a.Cookie.Value(r)
	if !ok {
		return oauth.SignedIn{}, false, nil
	}
	in, err := a.Server.SignedIn(r.Context(), cookie)
	switch {
	case err == nil:
		return in, true, nil
	case errors.Is(err, session.ErrNone):
		return oauth.SignedIn{}, false, nil
	}
	return oauth.SignedIn{}, false, internal(err)
}

func internal(err error) *oauth.Error {
	e := &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: err}
	if errors.Is(err, storage.ErrUnavailable) {
		e.RetryAfter = time.Second
	}
	return e
}

// noStore marks what carries a code, a token or a cookie.
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	noStore(w.Header())
	encodeJSON(w, status, "application/json", v)
}

// writePublic is for what anybody may read and keep: five minutes are well
// within the day that a key is published before it is used.
func writePublic(w http.ResponseWriter, contentType string, v any) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	encodeJSON(w, http.StatusOK, contentType, v)
}

func encodeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(v) //nolint:errcheck // the client went away
}

func redirect(w http.ResponseWriter, status int, location string) {
	noStore(w.Header())
	w.Header().Set("Location", location)
	w.WriteHeader(status)
}

func retryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
	}
}
