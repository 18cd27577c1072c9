package adminapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// listKeys answers GET /sso/keys.
func (a API) listKeys(w http.ResponseWriter, r *http.Request) error {
	return a.withRuntime(w, r, http.MethodGet, func(c *appruntime.Runtime) error {
		all, err := c.Server.Keys.List(r.Context())
		if err != nil {
			return adminError(http.StatusServiceUnavailable, err)
		}
		return writeAnswer(w, all)
	})
}

// withdrawKey answers DELETE /sso/keys/<id> with the keys that are left.
func (a API) withdrawKey(w http.ResponseWriter, r *http.Request) error {
	id := strings.TrimPrefix(r.URL.Path, "/sso/keys/")
	return a.withRuntime(w, r, http.MethodDelete, func(c *appruntime.Runtime) error {
		err := c.Server.Keys.Withdraw(r.Context(), id)
		if errors.Is(err, keys.ErrNoKey) {
			return adminError(http.StatusNotFound, errors.New("no key has this ID; see: caddy sso keys list"))
		}
		if err != nil {
			return adminError(http.StatusServiceUnavailable, err)
		}
		c.Audit.Record(oauth.Event{What: oauth.KeyWithdrawn, Why: "by the operator: " + id})
		all, err := c.Server.Keys.List(r.Context())
		if err != nil {
			return adminError(http.StatusServiceUnavailable, fmt.Errorf("the key is withdrawn; listing the other keys: %w", err))
		}
		return writeAnswer(w, all)
	})
}
