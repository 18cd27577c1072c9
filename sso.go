// Package sso puts single sign-on in front of backends behind Caddy.
//
// # Build
//
// Importing it registers the modules of caddy-sso with Caddy, which is what
// xcaddy does:
//
//	xcaddy build v2.11.9 --with github.com/caddy-sso/caddy-sso
//
// # Modules
//
// The modules are the app `sso`, the handlers `http.handlers.sso_portal` and
// `http.handlers.sso_gate`, the guest modules below `sso.storage` and
// `sso.signin`, and the commands of `caddy sso`. docs/settings.md has all settings, and
// docs/architecture.md says how the packages hang together.
package sso

import (
	// Registers the modules.
	_ "github.com/caddy-sso/caddy-sso/caddymodule"
)
