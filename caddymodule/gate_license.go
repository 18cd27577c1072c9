package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/httphandler"
	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/session"
)

// licenseAPIs has the APIs with which a gate before a license backend answers.
type licenseAPIs struct {
	gate       gate.LicenseGate
	activation *licenseapi.Activation
}

// checkLicense refuses settings that have no effect if the gate asks no user to sign in.
func (g *Gate) checkLicense() error {
	for _, option := range []struct {
		name string
		set  bool
	}{
		{"client", g.Client != ""},
		{"popup", g.Popup},
		{"drop_forms", g.DropForms},
		{"fail_auth_url", g.FailAuthURL != ""},
		{"require", len(g.Require) > 0},
		{"require or deny", g.Rules != nil},
		{"max_age", g.MaxAge != 0},
		{"bearer", g.Bearer != ""},
		{"allow_client", len(g.AllowClients) > 0},
		{"allow_preflight", g.AllowPreflight},
		{"a matcher", len(g.MatcherSetsRaw) > 0},
	} {
		if option.set {
			return fmt.Errorf("license_activation: %s has no effect beside it, since such a gate asks no user to sign in; remove one of the two", option.name)
		}
	}
	return nil
}

func (g *Gate) newLicenseAPIs(c *appruntime.Runtime) *licenseAPIs {
	activation := &licenseapi.Activation{Server: c.Server, AllowRawPath: g.AllowRawPath, From: httphandler.ClientOrigin, Log: g.log}
	return &licenseAPIs{activation: activation, gate: gate.LicenseGate{
		Sessions: c.Server.Sessions, Shared: httphandler.RequestVars, Headers: g.headers, AllowUpgrade: g.AllowUpgrade,
		Endpoint: c.License.Endpoint, Check: activation.Check,
	}}
}

// serveLicense is ServeHTTP of a gate that verifies activations.
func (g *Gate) serveLicense(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	apis, core, err := g.license.get(g.app, g.newLicenseAPIs)
	if err != nil {
		(&licenseapi.API{Log: g.log}).Unavailable(w, err)
		return nil
	}
	defer core.Release()
	pass, ok := apis.gate.Handle(w, r)
	if !ok {
		return nil
	}
	httpapi.UnlimitBodyTime(w, r)
	defer pass.Release()
	httphandler.SetUser(pass.Request, pass.User)
	if err := next.ServeHTTP(g.answerWriter(w, pass), pass.Request); !errors.Is(err, session.ErrEnded) {
		return httphandler.HandleError(w, r, err, g.log)
	}
	apis.activation.Ended(w)
	return nil
}
