package storageengines

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/file"
)

func init() {
	caddy.RegisterModule(new(File))
}

// File keeps everything in one file, so that a restart signs no user out.
type File struct {
	// The path of the file. Default: `sso/sso.db` in Caddy's data folder.
	Path string `json:"path,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.storage.file", New: func() caddy.Module { return new(File) }}
}

// Provision finds the file, without opening it.
func (s *File) Provision(caddy.Context) error {
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

// Identity implements caddymodule.Engine. A link and its target are the same file,
// before the file is created and afterwards.
func (s *File) Identity() string { return "file " + resolvePath(s.Path, 0) }

// maxLinks bounds the links that are followed, since links may be circular.
const maxLinks = 40

// resolvePath follows the links in an absolute path. The last parts of it need not
// exist yet.
func resolvePath(path string, links int) string {
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
		return resolvePath(target, links+1)
	}
	return filepath.Join(resolvePath(dir, links), filepath.Base(path))
}

// Open implements caddymodule.Engine.
func (s *File) Open(_ *zap.Logger, now func() time.Time) (storage.Store, error) {
	store, err := file.Open(s.Path, file.Options{Now: now, Damaged: logDamaged})
	if err != nil {
		return nil, fmt.Errorf("storage file %s: %w", s.Path, err)
	}
	return store, nil
}

// logDamaged logs that a file is damaged. It outlives the configuration, so the
// configuration's log may be closed.
func logDamaged(err error) {
	caddy.Log().Named("sso").Error("the storage file is damaged; known sessions go on, and nothing new is written: see caddy sso storage check", zap.Error(err))
}

// Shared implements caddymodule.Engine.
func (*File) Shared() bool { return false }

// UnmarshalCaddyfile sets up the engine from Caddyfile tokens. Syntax:
//
//	storage file [<path>]
func (s *File) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		s.Path = d.Val()
		if err := options.CheckNoPlaceholder(d, "storage file", s.Path); err != nil {
			return err
		}
	}
	return options.Block(d, nil)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*File)(nil)
	_ caddyfile.Unmarshaler = (*File)(nil)
)
