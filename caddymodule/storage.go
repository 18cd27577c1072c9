package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/file"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

func init() {
	caddy.RegisterModule(new(StorageMemory))
	caddy.RegisterModule(new(StorageFile))
}

// Engine is what a module below `sso.storage` does.
type Engine interface {
	// Identity names the store itself, whatever the settings around it: two
	// configurations with one identity share it over a reload.
	Identity() string

	// Open opens the store. What it keeps for a time counts that by the clock, and
	// so does not go before its time where that of the machine has jumped.
	Open(*zap.Logger, *sharedclock.Clock) (storage.Store, error)

	// Shared says whether other nodes use the same store.
	Shared() bool

	// Vault is where signing keys live, if that is the store itself; nil: in
	// Caddy's own storage. The memory belongs to the store, and is what the
	// configuration before last saw.
	Vault(storage.Store, *keys.Memory) keys.Vault
}

// StorageMemory keeps everything in this process. A restart signs everybody
// out; a reload does not.
type StorageMemory struct {
	// How many values are kept; the one used longest ago goes first. As many marks
	// of revoked tokens are kept beside them, and none is forgotten. It takes
	// effect at a restart. Default: 1000000.
	Capacity int `json:"capacity,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*StorageMemory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.storage.memory", New: func() caddy.Module { return new(StorageMemory) }}
}

// Identity implements Engine.
func (*StorageMemory) Identity() string { return "memory" }

// Open implements Engine.
func (s *StorageMemory) Open(_ *zap.Logger, clk *sharedclock.Clock) (storage.Store, error) {
	return memory.New(memory.Options{Capacity: s.Capacity, Now: clk.Now, Seekable: session.Seekable()}), nil
}

// Shared implements Engine.
func (*StorageMemory) Shared() bool { return false }

// Vault implements Engine.
func (*StorageMemory) Vault(storage.Store, *keys.Memory) keys.Vault { return nil }

// UnmarshalCaddyfile sets up the engine from Caddyfile tokens. Syntax:
//
//	storage memory {
//		capacity <values>
//	}
func (s *StorageMemory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return parseOptions(d, map[string]func() error{
		"capacity": func() error { return positive(d, &s.Capacity) },
	})
}

// StorageFile keeps everything in one file, so that a restart signs nobody out.
type StorageFile struct {
	// The path of the file. Default: `sso/sso.db` in Caddy's data folder.
	Path string `json:"path,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*StorageFile) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.storage.file", New: func() caddy.Module { return new(StorageFile) }}
}

// Provision finds the file, without opening it.
func (s *StorageFile) Provision(caddy.Context) error {
	if s.Path == "" {
		s.Path = filepath.Join(caddy.AppDataDir(), "sso", "sso.db")
	}
	abs, err := filepath.Abs(s.Path)
	if err != nil {
		return fmt.Errorf("path %q: %w", s.Path, err)
	}
	s.Path = abs
	return nil
}

// Identity implements Engine. A link and what it points to are one file, before
// it is made as well as after.
func (s *StorageFile) Identity() string { return "file " + resolve(s.Path, 0) }

// maxLinks is when links lead in a circle.
const maxLinks = 40

// resolve follows the links in an absolute path, of which the last parts need
// not be there yet.
func resolve(path string, links int) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	dir := filepath.Dir(path)
	if dir == path || links > maxLinks {
		return path
	}
	if target, err := os.Readlink(path); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		return resolve(target, links+1)
	}
	return filepath.Join(resolve(dir, links), filepath.Base(path))
}

// Open implements Engine.
func (s *StorageFile) Open(_ *zap.Logger, clk *sharedclock.Clock) (storage.Store, error) {
	store, err := file.Open(s.Path, file.Options{Now: clk.Now, Damaged: logDamaged})
	if err != nil {
		return nil, fmt.Errorf("storage file %s: %w", s.Path, err)
	}
	return store, nil
}

// logDamaged writes that a file was found to be damaged. It outlives the
// configuration, whose log may be closed by then.
func logDamaged(err error) {
	caddy.Log().Named("sso").Error("the storage is damaged; sessions that are known go on, and nothing new is written", zap.Error(err))
}

// Shared implements Engine.
func (*StorageFile) Shared() bool { return false }

// Vault implements Engine.
func (*StorageFile) Vault(storage.Store, *keys.Memory) keys.Vault { return nil }

// UnmarshalCaddyfile sets up the engine from Caddyfile tokens. Syntax:
//
//	storage file [<path>]
func (s *StorageFile) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		s.Path = d.Val()
		if err := checkReplaced(d, "storage file", s.Path); err != nil {
			return err
		}
	}
	return parseOptions(d, nil)
}

// hasPlaceholder says whether a value is only known when the server runs.
func hasPlaceholder(s string) bool { return strings.Contains(s, "{") }

// Interface guards
var (
	_ Engine                = (*StorageMemory)(nil)
	_ Engine                = (*StorageFile)(nil)
	_ caddy.Provisioner     = (*StorageFile)(nil)
	_ caddyfile.Unmarshaler = (*StorageMemory)(nil)
	_ caddyfile.Unmarshaler = (*StorageFile)(nil)
)
