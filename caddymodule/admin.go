package caddymodule

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/adminapi"
)

func init() {
	caddy.RegisterModule(adminapi.API{Active: activeApp})
}

// activeApp is the app of the active configuration, for the admin API.
func activeApp() (adminapi.Active, error) {
	active, err := caddy.ActiveContext().AppIfConfigured("sso")
	if err != nil {
		return adminapi.Active{}, err
	}
	app := active.(*App)
	return adminapi.Active{Issuer: app.Issuer, Open: app.runtime}, nil
}
