package keys_test

import (
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

func TestARingThatBeginsWhileNothingCanBeWrittenHasTheKeysThatAreStored(t *testing.T) {
	store, clk := faultystore.New(memory.New(memory.Options{})), newClock()
	vault := func() keys.Vault { return keys.NewStoreVault(store, storageKey, nil) }
	before := newRing(t, vault(), clk, keys.ES256)
	token := mustSign(t, before, keys.ES256)

	store.Full()
	for _, later := range []time.Duration{0, 90 * day} { // then another key is due
		clk.Advance(later)
		after := newRing(t, vault(), clk, keys.ES256)
		mustVerify(t, after, token, keys.ES256)
		mustVerify(t, before, mustSign(t, after, keys.ES256), keys.ES256)
	}
	store.Down(false)
	after := newRing(t, vault(), clk, keys.ES256)
	if ids := published(t, after, keys.ES256); len(ids) != 2 {
		t.Errorf("%d keys are published once there is room, want the next one, too", len(ids))
	}
}
