// Package adminapi is the part of Caddy's admin API below `/sso/`: it shows and ends
// sessions, shows and withdraws keys, reports on the storage, and explains
// authorization URLs.
package adminapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/storage"
)

// IssuerHeader names, in a request to the admin API, the issuer of the intended
// portal: another server may listen at the address.
const IssuerHeader = "X-Sso-Issuer"

// API is the admin API for operators:
//
//	GET    /sso/sessions        all sessions, as a JSON array
//	DELETE /sso/sessions/<id>   ends one, and its persistent grants;
//	                            ?user=<name> finds it by a part of its ID
//	DELETE /sso/users/<name>    ends all of a user, and their persistent grants
//	GET    /sso/license/url     a sign-in link of the License API
//	GET    /sso/storage         the state of the storage
//	POST   /sso/storage/check   verifies the file of the storage
//	POST   /sso/storage/compact removes its unused space
//	GET    /sso/keys            the keys that sign and seal, without their values
//	DELETE /sso/keys/<id>       withdraws one, and all that it signed or sealed
//	POST   /sso/check           explains the authorization URL in the body
type API struct {
	// Active returns the app of the active configuration, or an error if it has none.
	Active func() (Active, error)
}

// Active is the app of the active configuration.
type Active struct {
	Issuer string
	Open   func() (*appruntime.Runtime, error)
}

// CaddyModule returns the Caddy module information.
func (a API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.sso", New: func() caddy.Module { return &API{Active: a.Active} }}
}

// Routes implements caddy.AdminRouter.
func (a API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/sso/sessions", Handler: caddy.AdminHandlerFunc(a.list)},
		{Pattern: "/sso/sessions/", Handler: caddy.AdminHandlerFunc(a.endSession)},
		{Pattern: "/sso/users/", Handler: caddy.AdminHandlerFunc(a.endUser)},
		{Pattern: "/sso/storage", Handler: caddy.AdminHandlerFunc(a.storageStatus)},
		{Pattern: "/sso/storage/check", Handler: a.doFileTask("check")},
		{Pattern: "/sso/storage/compact", Handler: a.doFileTask("compact")},
		{Pattern: "/sso/keys", Handler: caddy.AdminHandlerFunc(a.listKeys)},
		{Pattern: "/sso/keys/", Handler: caddy.AdminHandlerFunc(a.withdrawKey)},
		{Pattern: "/sso/check", Handler: caddy.AdminHandlerFunc(a.checkRequest)},
		{Pattern: "/sso/license/url", Handler: caddy.AdminHandlerFunc(a.licenseURL)},
	}
}

// withRuntime runs f over the store of the configuration that is active.
func (a API) withRuntime(w http.ResponseWriter, r *http.Request, method string, f func(*appruntime.Runtime) error) error {
	httpapi.LimitBodyTime(w, r)
	if r.Method != method {
		w.Header().Set("Allow", method)
		return adminError(http.StatusMethodNotAllowed, fmt.Errorf("method not allowed; use %s", method))
	}
	active, err := a.Active()
	if err != nil {
		return adminError(http.StatusNotFound, errors.New("the active configuration has no sso"))
	}
	if meant := r.Header.Get(IssuerHeader); meant != "" && meant != active.Issuer {
		return adminError(http.StatusConflict, fmt.Errorf("this server has the issuer %s, not %s: it runs another configuration; give --address or --config of the right server", active.Issuer, meant))
	}
	c, err := active.Open()
	if err != nil {
		return adminError(http.StatusServiceUnavailable, err)
	}
	if !c.Hold() {
		return adminError(http.StatusServiceUnavailable, storage.ErrUnavailable)
	}
	defer c.Release()
	return f(c)
}

func adminError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

func writeAnswer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// Interface guards
var _ caddy.AdminRouter = API{}
