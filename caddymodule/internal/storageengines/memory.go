// Package storageengines has the guest modules below `sso.storage`: the storage engines
// memory, file and redis, with their settings and their Caddyfile syntax. Each registers
// itself in full, as modules of Caddy do: an engine outside this module is written in
// the same way (examples/storageengine).
package storageengines

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

func init() {
	caddy.RegisterModule(new(Memory))
}

// Memory keeps everything in this process. A restart signs all users out; a reload does not.
type Memory struct {
	// How many values are kept. When full, the least recently used value is evicted. The
	// marks of revoked tokens have as many places of their own, and are never evicted. A
	// change takes effect at a restart. Default: 1000000.
	Capacity int `json:"capacity,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.storage.memory", New: func() caddy.Module { return new(Memory) }}
}

// Identity implements caddymodule.Engine.
func (*Memory) Identity() string { return "memory" }

// Open implements caddymodule.Engine.
func (s *Memory) Open(_ *zap.Logger, now func() time.Time) (storage.Store, error) {
	return memory.New(memory.Options{Capacity: s.Capacity, Now: now, Seekable: session.Seekable()}), nil
}

// Shared implements caddymodule.Engine.
func (*Memory) Shared() bool { return false }

// UnmarshalCaddyfile sets up the engine from Caddyfile tokens. Syntax:
//
//	storage memory {
//		capacity <values>
//	}
func (s *Memory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return options.Block(d, map[string]func() error{
		"capacity": func() error { return options.PositiveArg(d, &s.Capacity) },
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Memory)(nil)
