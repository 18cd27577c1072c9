package gate

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// failPage reports whether a request is for the page of the gate's own fail_auth_url,
// which unauthenticated users must see: for the registered URL, and for the URL that
// the portal redirects to. Every other request for that path is protected.
func (g *Gate) failPage(r *http.Request, site *Site) bool {
	u := g.Policy.FailAuthURL
	return u != nil && r.URL.Path == path(u) && r.URL.RawPath == u.RawPath && oauth.OriginOf(u) == site.Origin &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead) && r.ContentLength == 0 && !hasOverride(r.Header) &&
		failQuery(asSent(r.URL.RawQuery), asSent(u.RawQuery))
}

// asSent writes a query as browsers do (URL standard, section 1.3).
func asSent(query string) string { return strings.ReplaceAll(query, "'", "%27") }

// failQuery reports whether a query is the registered one, followed only by the
// parameters that the portal adds, each at most once. Their names must be spelled as
// the portal spells them. A semicolon is refused, since some backends split there.
func failQuery(query, registered string) bool {
	added, ok := strings.CutPrefix(query, registered)
	if !ok {
		return false
	}
	if registered != "" && !strings.HasSuffix(registered, "&") {
		if added, ok = strings.CutPrefix(added, "&"); !ok {
			return added == ""
		}
	}
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(added, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "error", "error_code", "error_description", "resume", "state":
		default:
			return added == ""
		}
		if _, err := url.QueryUnescape(value); err != nil || seen[name] || strings.Contains(value, ";") {
			return false
		}
		seen[name] = true
	}
	return true
}
