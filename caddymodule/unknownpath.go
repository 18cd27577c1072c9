package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/loginapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oidc"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

// handOn is for a request that is none of the portal's; own is the same as the
// portal reads it. Where nobody behind answers a path that is as those of an API
// here, the API does: Caddy would answer 200, which programs take for success.
func (p *Portal) handOn(w http.ResponseWriter, r, own *http.Request, next caddyhttp.Handler) error {
	if !gate.Table(requestTable).Enter(w, r) {
		return nil
	}
	identify(r, nil)
	unknown := p.unknown(httpapi.SingleSlashes(r.URL.Path)) // which a handler behind may change
	if unknown == nil {
		return handledError(w, r, next.ServeHTTP(w, r), p.log)
	}
	answer := newAnswerWriter(w)
	answer.vars = requestTable(r.Context())
	if err := next.ServeHTTP(answer, r); err != nil || answer.begun {
		return handledError(w, r, err, p.log)
	}
	caddyhttp.SetVar(r.Context(), unhandled, nil)                         // or the access log would say NOP
	for _, name := range []string{"Content-Length", "Content-Encoding"} { // of what was made of nothing
		w.Header().Del(name)
	}
	httpapi.LimitBodyTime(w, r)
	unknown(w, own)
	return nil
}

// unknown returns what says that there is no such path, in the words of the API
// whose it would be, or nil for a path that is of none.
func (p *Portal) unknown(path string) http.HandlerFunc {
	server := &oauth.Server{Clients: p.app.clients}
	switch {
	case strings.HasPrefix(path, "/api/"):
		return (&loginapi.API{Server: server, Pages: p.app.pages, Log: p.log}).NotFound
	case strings.HasPrefix(path, "/oauth2/"):
		return (&oidc.API{Server: server, Pages: p.app.pages, Log: p.log}).NotFound
	case strings.HasPrefix(path, "/sso/"):
		return (&portal.Hosted{Pages: p.app.pages, Log: p.log}).NotFound
	}
	return nil
}
