// Package httpapi has the helpers that the HTTP API packages share: methods and CORS,
// reading of bounded requests, authentication of clients and users, and writing of
// JSON. Each HTTP API package keeps what only its API has: parameters and error
// bodies.
//
// # Pages and JSON
//
// The same error is a page if Fetch Metadata says that a browser navigates, and the
// published JSON body otherwise. A page whose error is over soon loads again by itself,
// always by GET, a few seconds later, and not in all browsers at once.
//
// # Bodies
//
// The body of a request that we may answer ourselves has a deadline before anybody reads
// it, since over HTTP/1.1 net/http reads the rest of a body before it sends the answer. A
// handler removes the deadline before it passes the request on.
package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// SingleSlashes is a path without doubled slashes. Real clients append a path to a
// base URL that ends in a slash.
func SingleSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// CanonicalPath is a path without doubled slashes and without a trailing slash, as
// endpoints are named.
func CanonicalPath(path string) string {
	path = SingleSlashes(path)
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// Canonical is the request with the canonical path. If its path is canonical already, it is the request itself.
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

// AllowMethods reports whether an endpoint accepts the method of a request. If not,
// it sets the Allow header; the caller answers 405.
func AllowMethods(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return false
}

// CORS allows scripts of other origins to call an endpoint: the origins of registered
// redirect URIs, and no other.
type CORS struct {
	Clients *oauth.Clients

	// Cookies allows credentials (Fetch standard, section 3.3).
	Cookies bool

	// Headers are the response headers that scripts may read.
	Headers string
}

// Preflight sets CORS headers. If the request is a preflight, it answers and returns
// true.
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

// Unknown is Preflight for a path without an endpoint. There it returns false for a
// preflight from an unregistered origin, which is answered as any other request.
func (s CORS) Unknown(w http.ResponseWriter, r *http.Request) bool {
	if isPreflight(r) && !s.Clients.RegisteredOrigin(r.Header.Get("Origin")) {
		return false
	}
	return s.Preflight(w, r, http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete)
}

// PublicPreflight answers a preflight for a document of [WritePublic], which scripts
// of any origin may read, and returns true. Browsers send one if a library adds a
// header of its own.
func PublicPreflight(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if !isPreflight(r) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	allowScripts(w.Header(), methods, "*")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// isPreflight reports whether a request is a CORS preflight (Fetch standard, section
// 3.3.2).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

func allowScripts(header http.Header, methods []string, headers string) {
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	header.Set("Access-Control-Allow-Headers", headers)
	header.Set("Access-Control-Max-Age", "600")
}
