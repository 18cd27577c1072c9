package caddymodule

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/gate"
)

// parseGate reads the directive. Its matcher becomes part of the handler, since
// a route with a matcher would let all other requests past it. Syntax:
//
//	sso_gate [<matcher>] {
//		client         <id>
//		popup
//		fail_auth_url  <url>
//		require group  <name>...
//		require user|email|email_domain|signin <value>...
//		require claim  <name> <value>...
//		require any {
//			user|group|email|email_domain|signin <value>...
//			claim <name> <value>...
//		}
//		deny user|group|email|email_domain <value>...
//		deny claim     <name> <value>...
//		max_age        <duration>
//		bearer         on|off
//		allow_client   <id>...
//		allow_preflight
//		header_prefix  <prefix>
//		headers        [authelia|oauth2_proxy] {
//			<name> {user.name}|{user.subject}|{user.email}|{user.groups}|{user.claim.<name>}
//		}
//		authorization  pass|strip
//		allow_raw_path
//		allow_upgrade  <protocol>...
//		cache_private  on|off
//		drop_forms
//		license_activation
//	}
func parseGate(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, explainMatcher(h, err)
	}
	h.Next()
	g := new(Gate)
	if matcher != nil {
		g.MatcherSetsRaw = caddyhttp.RawMatcherSets{matcher}
	}
	d := h.Dispenser
	lines := optionLines{"": *d}
	if err := options.Block(d, g.options(d, lines)); err != nil {
		return nil, err
	}
	app, err := optionOf(h)
	if err != nil {
		return nil, err
	}
	groups, err := app.configuredGroups(h.State)
	if err != nil {
		return nil, err
	}
	if _, err := g.checkReferences(gateReferences{
		client: app.knownClient, hasMethod: app.mayHaveMethod, groups: groups, license: app.License != nil,
	}); err != nil {
		return nil, lines.addLine(err)
	}
	return h.NewRoute(nil, g), nil
}

// options returns the options of a gate's block.
func (g *Gate) options(d *caddyfile.Dispenser, lines optionLines) map[string]func() error {
	return map[string]func() error{
		"client": func() error {
			lines.mark(d, "client")
			return options.TextArg(d, &g.Client)
		},
		"popup":              options.BoolArg(&g.Popup),
		"allow_raw_path":     options.BoolArg(&g.AllowRawPath),
		"drop_forms":         options.BoolArg(&g.DropForms),
		"license_activation": options.BoolArg(&g.LicenseActivation),
		"require":            func() error { return g.unmarshalRequire(d, lines) },
		"deny":               func() error { return g.unmarshalDeny(d, lines) },
		"max_age": func() error {
			lines.mark(d, "max_age")
			return options.DurationArg(d, &g.MaxAge)
		},
		"allow_preflight": options.BoolArg(&g.AllowPreflight),
		"bearer": func() error {
			lines.mark(d, "bearer")
			return options.TextArg(d, &g.Bearer)
		},
		"allow_client": func() error {
			lines.mark(d, "bearer")
			return options.TextArgs(d, &g.AllowClients)
		},
		"fail_auth_url": func() error {
			lines.mark(d, "fail_auth_url")
			return options.TextArg(d, &g.FailAuthURL)
		},
		"headers":       func() error { return g.unmarshalHeaders(d) },
		"authorization": func() error { return options.CheckedArg(d, &g.Authorization, checkAuthorization) },
		"allow_upgrade": func() error { return options.EachArg(d, &g.AllowUpgrade, gate.CheckUpgrade) },
		"cache_private": func() error {
			return options.CheckedArg(d, &g.CachePrivate, func(value string) error { return options.CheckOnOff("cache_private", value) })
		},
		"header_prefix": func() error { return options.CheckedArg(d, &g.HeaderPrefix, gate.CheckHeaderPrefix) },
	}
}

// explainMatcher adds a remedy to Caddy's error about a matcher.
func explainMatcher(h httpcaddyfile.Helper, err error) error {
	if name, unknown := strings.CutPrefix(err.Error(), "unrecognized matcher name: "); unknown {
		err = fmt.Errorf("%w; define it on this site, for example: %s path /admin /admin/*", err, name)
	}
	return h.WrapErr(err)
}
