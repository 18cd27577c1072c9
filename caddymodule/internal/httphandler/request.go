// Package httphandler has the code that the gate and the portal share as HTTP
// handlers of Caddy: the variables and the origin of a request, the placeholders of
// its user, the writer of its answer, and the log of errors whose URL contains a
// secret.
package httphandler

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// RequestVars is Caddy's table of variables, which error routes have, too.
func RequestVars(ctx context.Context) map[string]any {
	table, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	return table
}

// OriginalURI returns the URI of a request before any rewrite.
func OriginalURI(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.URL.RequestURI()
	}
	return r.URL.RequestURI()
}

// ClientOrigin returns the client's address according to Caddy.
func ClientOrigin(r *http.Request) oauth.Origin {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return oauth.Origin(ip)
}
