package gate

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// failPage says whether a request is for the gate's own fail_auth_url, which
// people without a session have to be able to see: for the page itself, and as
// the portal sends them there. Whatever else the backend does at that path is
// protected.
func (g *Gate) failPage(r *http.Request, site *Site) bool {
	u := g.Policy.FailAuthURL
	return u != nil && r.URL.Path == path(u) && r.URL.RawPath == u.RawPath && oauth.OriginOf(u) == site.Origin &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead) && r.ContentLength == 0 && !disguised(r.Header) &&
		failQuery(asSent(r.URL.RawQuery), asSent(u.RawQuery))
}

// asSent writes a query as browsers do (URL standard, section 1.3).
func asSent(query string) string { return strings.ReplaceAll(query, "'", "%27") }

// failQuery says whether a query is the registered one with nothing behind it
// but what the portal adds, each once. Names count as the portal writes them,
// and no value may be two for a backend that splits at semicolons.
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
