// Package keystest has a vault in memory, for tests.
package keystest

import (
	"context"
	"slices"
	"sync"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

// NewVault returns a vault that lives and dies with this process.
func NewVault() keys.Vault {
	return &vault{blobs: make(map[string][]byte)}
}

type vault struct {
	mu    sync.Mutex
	blobs map[string][]byte // guarded by mu
}

func (v *vault) Load(_ context.Context, name string) ([]byte, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	blob, ok := v.blobs[name]
	return slices.Clone(blob), ok, nil
}

func (v *vault) Update(_ context.Context, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.blobs[name]
	next, err := change(slices.Clone(old))
	if err != nil {
		return nil, err
	}
	if next == nil {
		return slices.Clone(old), nil
	}
	v.blobs[name] = slices.Clone(next)
	return next, nil
}
