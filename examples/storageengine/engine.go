// Package ssostorage is an example of a storage engine of one's own for caddy-sso: the
// Caddy module sso.storage.map, which keeps all values in a Go map.
package ssostorage

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule"
	"github.com/caddy-sso/caddy-sso/storage"
)

func init() {
	caddy.RegisterModule(new(Map))
}

// Map keeps everything in a Go map in this process. A restart signs all users out; a reload
// does not.
type Map struct {
	// How many values are kept. When full, nobody can sign in until values expire. A
	// change takes effect at a restart. Default: 1000000.
	Capacity int `json:"capacity,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Map) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.storage.map", New: func() caddy.Module { return new(Map) }}
}

// Validate checks the settings.
func (m *Map) Validate() error {
	if m.Capacity < 0 {
		return errors.New("storage map: capacity is negative; give a number of values, or none for 1000000")
	}
	return nil
}

// Identity implements [caddymodule.Engine].
func (*Map) Identity() string { return "map" }

// Open implements [caddymodule.Engine].
func (m *Map) Open(_ *zap.Logger, now func() time.Time) (storage.Store, error) {
	return NewStore(cmp.Or(m.Capacity, 1_000_000), now), nil
}

// Shared implements [caddymodule.Engine].
func (*Map) Shared() bool { return false }

// UnmarshalCaddyfile sets up the engine from Caddyfile tokens. Syntax:
//
//	storage map {
//		capacity <values>
//	}
func (m *Map) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the engine
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(d.Nesting()) {
		if option := d.Val(); option != "capacity" {
			return d.Errf("storage map: unknown option %q; expected capacity", option)
		}
		if !d.NextArg() {
			return d.ArgErr()
		}
		n, err := strconv.Atoi(d.Val())
		if err != nil || n <= 0 {
			return d.Errf("capacity %q is not a positive number; give a number of values, such as: capacity 50000", d.Val())
		}
		m.Capacity = n
		if d.NextArg() {
			return d.ArgErr()
		}
	}
	return nil
}

// Interface guards
var (
	_ caddymodule.Engine    = (*Map)(nil)
	_ caddy.Validator       = (*Map)(nil)
	_ caddyfile.Unmarshaler = (*Map)(nil)
)
