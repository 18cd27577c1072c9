// Package loginapi is the face that speaks the Login API: the endpoints below
// /api/oauth2/, /api/projects/, /api/token/ and /api/users/, byte for byte as
// its existing clients know them. One file an endpoint or a family. It parses and renders; the decisions are taken
// in package oauth.
package loginapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
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

	// Widget is the page that a popup goes by: it tells its opener, and then
	// follows the callback with the code.
	Widget func(ctx context.Context, a *oauth.Authorization, code string) (string, error)

	// SignIn begins a session for a name and a password, and sets its cookie.
	SignIn func(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, name, password string) (oauth.SignedIn, *oauth.Error)

	// Provider says whether a request may be signed in for at the provider with
	// an ID, and Leave where the browser goes for that, given the query that it
	// goes on with.
	Provider func(a *oauth.Authorization, id string) bool
	Leave    func(w http.ResponseWriter, r *http.Request, a *oauth.Authorization, rawQuery, id string) (string, *oauth.Error)

	// From says where a request comes from, for the audit log.
	From func(*http.Request) oauth.Origin

	Log *zap.Logger
}

// Endpoint returns what answers a path, or nil for a path that is not this
// API's. Slashes may be doubled: real clients append to a base URL that ends
// in one.
func (a *API) Endpoint(path string) http.HandlerFunc {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	switch path {
	case "/api/oauth2/auth":
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
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeError(w, http.StatusMethodNotAllowed, "0", "The method is not allowed.", 0)
	return false
}

// allowedScript is allowed for an endpoint that scripts on other origins call:
// it adds credentialed CORS for the origins of registered redirect URIs, and
// for no other (Fetch standard, section 3.3), and answers preflights.
func (a *API) allowedScript(w http.ResponseWriter, r *http.Request, method string) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	registered := false
	if origin := r.Header.Get("Origin"); a.Server.Clients.RegisteredOrigin(origin) {
		registered = true
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
		header.Set("Access-Control-Expose-Headers", "Retry-After")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return allowed(w, r, method)
	}
	if registered {
		header.Set("Access-Control-Allow-Methods", method)
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
	encodeJSON(w, status, v)
}

// writePublic is for what anybody may keep: five minutes are well within the
// day that a key is published before it is used.
func writePublic(w http.ResponseWriter, v any) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	encodeJSON(w, http.StatusOK, v)
}

func encodeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(v) //nolint:errcheck // the client went away
}

func redirect(w http.ResponseWriter, location string) {
	// What noStore sets and the location, in one allocation.
	v := []string{"no-store", "no-referrer", location}
	h := w.Header()
	h["Cache-Control"], h["Referrer-Policy"], h["Location"] = v[0:1:1], v[1:2:2], v[2:3:3]
	w.WriteHeader(http.StatusFound)
}

func retryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
	}
}
