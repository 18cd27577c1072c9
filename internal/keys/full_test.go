package keys_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// full is a store that can be read, but not written.
type full struct {
	storage.Store
	yes atomic.Bool
}

func (f *full) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if f.yes.Load() {
		return false, fmt.Errorf("no room: %w", storage.ErrUnavailable)
	}
	return f.Store.CompareAndSwap(ctx, key, old, next, lifetime)
}

func TestARingUsesTheStoredKeysIfTheStoreCannotBeWritten(t *testing.T) {
	store, clk := &full{Store: memory.New(memory.Options{})}, newClock()
	vault := func() keys.Vault { return keys.NewStoreVault(store, storageKey, nil) }
	before := newRing(t, vault(), clk, keys.ES256)
	token := mustSign(t, before, keys.ES256)

	store.yes.Store(true)
	for _, later := range []time.Duration{0, 90 * day} { // the second time another key is due
		clk.Advance(later)
		after := newRing(t, vault(), clk, keys.ES256)
		mustVerify(t, after, token, keys.ES256)
		mustVerify(t, before, mustSign(t, after, keys.ES256), keys.ES256)
	}
	store.yes.Store(false)
	after := newRing(t, vault(), clk, keys.ES256)
	if ids := published(t, after, keys.ES256); len(ids) != 2 {
		t.Errorf("%d keys are published once there is room, want the next one, too", len(ids))
	}
}
