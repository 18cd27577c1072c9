package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/httphandler"
	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/loginapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oidc"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

// handOn passes a request that is not for the portal to the next handler; own is the
// same request as the portal reads it. If no handler answers a path that looks like
// one of an API, the API answers 404: Caddy would answer 200, which programs treat as
// success.
func (p *Portal) handOn(w http.ResponseWriter, r, own *http.Request, next caddyhttp.Handler) error {
	if !gate.SharedTable(httphandler.RequestVars).Enter(w, r) {
		return nil
	}
	httphandler.SetUser(r, nil)
	unknown := p.unknown(httpapi.SingleSlashes(r.URL.Path)) // which a handler behind may change
	if unknown == nil {
		return httphandler.HandleError(w, r, next.ServeHTTP(w, r), p.log)
	}
	if handled, err := httphandler.ServeIfHandled(w, r, next); handled {
		return httphandler.HandleError(w, r, err, p.log)
	}
	httpapi.LimitBodyTime(w, r)
	unknown(w, own)
	return nil
}

// unknown returns the 404 handler of the API that a path seems to belong to, or nil.
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
