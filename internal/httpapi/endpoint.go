// Package httpapi is what the endpoints of the faces have in common: which
// methods and which origins they answer, how they read a bounded request and
// whom it is from, and how they write JSON. The faces keep what is of their API
// alone: its parameters and its error bodies.
package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// SingleSlashes is a path without doubled slashes: real clients append to a base
// URL that ends in one.
func SingleSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// CanonicalPath is a path without doubled slashes, and without one at its end, as
// all endpoints are named.
func CanonicalPath(path string) string {
	path = SingleSlashes(path)
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// Canonical is a request for the canonical path: the request itself, where it is.
func Canonical(r *http.Request) *http.Request {
	path := CanonicalPath(r.URL.Path)
	if path == r.URL.Path {
		return r
	}
	canonical, u := *r, *r.URL
	u.Path, u.RawPath = path, ""
	canonical.URL = &u
	return &canonical
}

// AllowMethods says whether an endpoint knows the method of a request. Where it does
// not, the answer will name those that it does: the rest of a 405 is the
// caller's.
func AllowMethods(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return false
}

// CORS are those of other origins that may call an endpoint: of the origins
// of registered redirect URIs, and of no other.
type CORS struct {
	Clients *oauth.Clients

	// Cookies says that they may send cookies (Fetch standard, section 3.3).
	Cookies bool

	// Headers are those of an answer that they may read.
	Headers string
}

// Preflight adds CORS to the answer of an endpoint that scripts call. Where the
// request is a preflight, it answers that and returns true.
func (s CORS) Preflight(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	registered := false
	if origin := r.Header.Get("Origin"); s.Clients.RegisteredOrigin(origin) {
		registered = true
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", s.Headers)
		if s.Cookies {
			header.Set("Access-Control-Allow-Credentials", "true")
		}
	}
	if !isPreflight(r) {
		return false
	}
	if registered {
		allowScripts(header, methods, "Authorization, Content-Type")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Unknown is Preflight for a path that is no endpoint. There a preflight of an
// origin that is not registered is answered as any other request is.
func (s CORS) Unknown(w http.ResponseWriter, r *http.Request) bool {
	if isPreflight(r) && !s.Clients.RegisteredOrigin(r.Header.Get("Origin")) {
		return false
	}
	return s.Preflight(w, r, http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete)
}

// PublicPreflight answers a preflight of what [WritePublic] gives to scripts of
// any origin, and returns true. Libraries that add a header of their own ask
// one.
func PublicPreflight(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if !isPreflight(r) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	allowScripts(w.Header(), methods, "*")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// isPreflight says whether a browser asks what a script may send (Fetch
// standard, section 3.3.2).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

func allowScripts(header http.Header, methods []string, headers string) {
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	header.Set("Access-Control-Allow-Headers", headers)
	header.Set("Access-Control-Max-Age", "600")
}
