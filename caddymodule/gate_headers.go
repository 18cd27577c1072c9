package caddymodule

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/gate"
)

// GateHeaders are identity headers with names of their own.
type GateHeaders struct {
	// Headers that backends of another product expect: `authelia` or `oauth2_proxy`.
	// Default: none.
	Preset string `json:"preset,omitempty"`

	// The names of headers, and for each a placeholder: `{user.name}`, `{user.subject}`,
	// `{user.email}`, `{user.groups}`, or `{user.claim.<name>}`. A name here replaces that of
	// the preset.
	Set map[string]string `json:"set,omitempty"`
}

const (
	authorizationPass  = "pass"
	authorizationStrip = "strip"
)

func checkAuthorization(value string) error {
	switch value {
	case "", authorizationPass, authorizationStrip:
		return nil
	}
	return fmt.Errorf("authorization %q is unknown; expected pass or strip", value)
}

// headerSettings are the settings of all identity headers of the gate.
func (g *Gate) headerSettings() gate.HeaderSettings {
	s := gate.HeaderSettings{Prefix: g.HeaderPrefix}
	if g.Headers != nil {
		s.Preset, s.Set = g.Headers.Preset, g.Headers.Set
	}
	return s
}

// unmarshalHeaders reads a preset, or a block of headers, or both.
func (g *Gate) unmarshalHeaders(d *caddyfile.Dispenser) error {
	if g.Headers == nil {
		g.Headers = new(GateHeaders)
	}
	preset := d.NextArg()
	if preset {
		if _, known := gate.HeaderPresets[d.Val()]; !known {
			return d.Errf("headers %s: this preset is unknown; expected authelia or oauth2_proxy, or a block: headers { Remote-User {user.name} }", d.Val())
		}
		if g.Headers.Preset != "" {
			return d.Err("duplicate option: headers; keep one of the two presets")
		}
		g.Headers.Preset = d.Val()
	}
	block := false
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		block = true
		name, value := d.Val(), ""
		if !d.Args(&value) || d.NextArg() {
			return d.Errf("headers: %s: expected one placeholder, such as {user.name}", name)
		}
		if g.Headers.Set == nil {
			g.Headers.Set = map[string]string{}
		}
		for known := range g.Headers.Set {
			if strings.EqualFold(known, name) {
				return d.Errf("headers: duplicate header %s; keep one of the two", name)
			}
		}
		g.Headers.Set[name] = value
		_, err := gate.NewHeaders(gate.HeaderSettings{Set: map[string]string{name: value}})
		if err := options.WithLine(d, err); err != nil {
			return err
		}
	}
	if !preset && !block {
		return d.Err("headers: expected a preset, authelia or oauth2_proxy, or a block: headers { Remote-User {user.name} }")
	}
	return nil
}
