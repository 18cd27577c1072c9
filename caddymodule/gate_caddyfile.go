package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// parseGate reads the directive. Its matcher becomes part of the handler, since
// a route with a matcher would let all other requests past it. Syntax:
//
//	sso_gate [<matcher>] {
//		client         <id>
//		popup
//		fail_auth_url  <url>
//		require group  <name>...
//		bearer         on|off
//		allow_client   <id>...
//		allow_preflight
//		header_prefix  <prefix>
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
	line, clientLine, failLine, bearerLine := *d, *d, *d, *d
	var requireLines []caddyfile.Dispenser // by group
	err = options.Block(d, map[string]func() error{
		"client": func() error {
			clientLine = *d
			return options.TextArg(d, &g.Client)
		},
		"popup":              options.BoolArg(&g.Popup),
		"allow_raw_path":     options.BoolArg(&g.AllowRawPath),
		"drop_forms":         options.BoolArg(&g.DropForms),
		"license_activation": options.BoolArg(&g.LicenseActivation),
		"require": func() error {
			if !d.NextArg() {
				return d.Err("require: expected the groups of which a user needs one; write: require group <name>...")
			}
			if d.Val() != "group" {
				return d.Errf("require %s: what can be required is a group; write: require group <name>...", d.Val())
			}
			err := options.TextArgs(d, &g.Require)
			for len(requireLines) < len(g.Require) {
				requireLines = append(requireLines, *d)
			}
			return err
		},
		"allow_preflight": options.BoolArg(&g.AllowPreflight),
		"bearer": func() error {
			bearerLine = *d
			return options.TextArg(d, &g.Bearer)
		},
		"allow_client": func() error {
			bearerLine = *d
			return options.TextArgs(d, &g.AllowClients)
		},
		"fail_auth_url": func() error {
			failLine = *d
			return options.TextArg(d, &g.FailAuthURL)
		},
		"allow_upgrade": func() error { return options.EachArg(d, &g.AllowUpgrade, gate.CheckUpgrade) },
		"cache_private": func() error {
			return options.CheckedArg(d, &g.CachePrivate, func(value string) error { return options.CheckOnOff("cache_private", value) })
		},
		"header_prefix": func() error {
			return options.CheckedArg(d, &g.HeaderPrefix, func(prefix string) error {
				_, err := gate.NewHeaders(prefix)
				return err
			})
		},
	})
	if err != nil {
		return nil, err
	}
	app, err := optionOf(h)
	if err != nil {
		return nil, err
	}
	if g.LicenseActivation {
		if err := g.parsedLicense(app, &line); err != nil {
			return nil, err
		}
		return h.NewRoute(nil, g), nil
	}
	if g.Client == "" {
		return nil, line.WrapErr(fmt.Errorf("sso_gate: %w", errNoClient))
	}
	c := app.client(g.Client)
	if c == nil {
		return nil, clientLine.WrapErr(errUnknownClient(g.Client))
	}
	client, err := c.withoutSecret()
	if err != nil {
		return nil, err
	}
	if client.AsksConsent() {
		return nil, clientLine.WrapErr(errAsksConsent(client))
	}
	if g.FailAuthURL != "" && !client.FailAuthURL(g.FailAuthURL) {
		return nil, failLine.WrapErr(errUnregistered(g.FailAuthURL, g.Client))
	}
	if err := g.checkBearer(app.knownClient); err != nil {
		return nil, bearerLine.WrapErr(err)
	}
	groups, err := app.configuredGroups(h.State)
	if err != nil {
		return nil, err
	}
	if i, err := g.nameGroups(groups); err != nil {
		return nil, requireLines[i].WrapErr(err)
	}
	return h.NewRoute(nil, g), nil
}

// wrongMatcher adds what to do to Caddy's error about a matcher.
func explainMatcher(h httpcaddyfile.Helper, err error) error {
	if name, unknown := strings.CutPrefix(err.Error(), "unrecognized matcher name: "); unknown {
		err = fmt.Errorf("%w; define it on this site, for example: %s path /admin /admin/*", err, name)
	}
	return h.WrapErr(err)
}

var errNoClient = errors.New("client is missing; name one of those of the sso option, such as: client 1")

func errUnknownClient(id string) error {
	return fmt.Errorf("client %q is unknown; add it to the sso option, or name one that is there", id)
}

func errAsksConsent(c *oauth.Client) error {
	return fmt.Errorf("client %q has consent %s, and a gate never asks: the site is your own; remove consent from the client, or give the gate another one", c.ID, c.Consent)
}

func errUnregistered(failAuthURL, client string) error {
	return fmt.Errorf("fail_auth_url %q is not registered for client %s; add it there, too", failAuthURL, client)
}
