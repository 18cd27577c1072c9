package appruntime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

// caddyVault keeps signing keys in Caddy's own storage, together with its
// certificates.
type caddyVault struct {
	storage certmagic.Storage
}

// NewCaddyVault returns the vault in Caddy's storage.
func NewCaddyVault(s certmagic.Storage) keys.Vault { return &caddyVault{s} }

func (*caddyVault) key(name string) string { return path.Join("sso", "keys", name) }

// Load implements keys.Vault.
func (v *caddyVault) Load(ctx context.Context, name string) ([]byte, bool, error) {
	blob, err := v.storage.Load(ctx, v.key(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("loading %s from Caddy's storage: %w", name, err)
	}
	return blob, true, nil
}

// Update implements keys.Vault: only one process that uses the same storage runs it
// at a time. If there is nothing to change, it takes no lock, since a lock is a file,
// and the disk may be full.
func (v *caddyVault) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) (_ []byte, err error) {
	before, next, err := v.changed(ctx, name, change)
	if err != nil || next == nil {
		return before, err
	}
	lock := v.key(name) + ".lock"
	if err := v.storage.Lock(ctx, lock); err != nil {
		return nil, fmt.Errorf("locking %s in Caddy's storage: %w", name, err)
	}
	defer func() {
		if e := v.storage.Unlock(context.WithoutCancel(ctx), lock); e != nil && err == nil {
			err = fmt.Errorf("unlocking %s in Caddy's storage: %w", name, e)
		}
	}()
	old, _, err := v.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(old, before) { // another node was faster
		if next, err = change(bytes.Clone(old)); err != nil {
			return nil, err
		}
	}
	if next == nil {
		return old, nil
	}
	if err := v.storage.Store(ctx, v.key(name), next); err != nil {
		return nil, fmt.Errorf("storing %s in Caddy's storage: %w", name, err)
	}
	return next, nil
}

// changed returns the stored value, and the result of change.
func (v *caddyVault) changed(ctx context.Context, name string, change func([]byte) ([]byte, error)) (old, next []byte, err error) {
	if old, _, err = v.Load(ctx, name); err != nil {
		return nil, nil, err
	}
	if next, err = change(bytes.Clone(old)); err != nil {
		return nil, nil, err
	}
	return old, next, nil
}
