package keys_test

import (
	"errors"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

func TestARingThatBeginsInAnOutageHasTheKeysOfTheOneBefore(t *testing.T) {
	store, clk := faultystore.New(memory.New(memory.Options{})), newClock()
	shared := new(keys.Memory)
	before := newRing(t, keys.NewStoreVault(store, storageKey, shared), clk, keys.ES256)
	token, sealed := mustSign(t, before, keys.ES256), mustSeal(t, before, "p", "x")

	store.Down(true)
	after := newRing(t, keys.NewStoreVault(store, storageKey, shared), clk, keys.ES256, keys.EdDSA)
	mustVerify(t, after, token, keys.ES256)
	mustVerify(t, before, mustSign(t, after, keys.ES256), keys.ES256)
	if got, err := after.Unseal(t.Context(), "p", sealed); string(got) != "x" || err != nil {
		t.Errorf("a value that was sealed before: %q, %v", got, err)
	}

	// The keys of the new algorithm are not known.
	elsewhere := newRing(t, keys.NewStoreVault(store.Store, storageKey, nil), clk, keys.EdDSA)
	foreign := mustSign(t, elsewhere, keys.EdDSA)
	_, signErr := after.Sign(t.Context(), keys.EdDSA, claims{})
	_, publicErr := after.Public(t.Context(), keys.EdDSA)
	_, verifyErr := after.Verify(t.Context(), foreign, keys.EdDSA)
	for what, err := range map[string]error{"Sign": signErr, "Public": publicErr, "Verify": verifyErr} {
		if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, keys.ErrToken) || errors.Is(err, keys.ErrAlgorithm) {
			t.Errorf("%s with an algorithm whose keys are out of reach: %v", what, err)
		}
	}
	if err := after.Maintain(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Maintain in the outage: %v", err)
	}
	store.Down(false)
	mustVerify(t, after, foreign, keys.EdDSA)
	mustVerify(t, elsewhere, mustSign(t, after, keys.EdDSA), keys.EdDSA)
}

func TestNothingIsRecalledThatIsNotOurs(t *testing.T) {
	store, clk := faultystore.New(memory.New(memory.Options{})), newClock()
	shared := new(keys.Memory)
	newRing(t, keys.NewStoreVault(store, storageKey, shared), clk, keys.ES256)
	store.Down(true)
	for name, v := range map[string]keys.Vault{
		"another storage key": keys.NewStoreVault(store, anotherKey, shared),
		"a key too short":     keys.NewStoreVault(store, storageKey[:31], shared),
		"another store":       keys.NewStoreVault(store, storageKey, new(keys.Memory)),
		"no memory":           keys.NewStoreVault(store, storageKey, nil),
	} {
		r := keys.NewRing(v, keys.Options{Now: clk.Now, Algorithms: []keys.Algorithm{keys.ES256}})
		if sealed, err := r.Seal(t.Context(), "p", []byte("x")); err == nil {
			t.Errorf("%s: sealed %q", name, sealed)
		}
	}
}

// The ring of a new configuration knows the keys of the ring before it.
func TestKeysThatTheStoreLostAreRestored(t *testing.T) {
	store, clk := memory.New(memory.Options{}), newClock()
	shared := new(keys.Memory)
	before := newRing(t, keys.NewStoreVault(store, storageKey, shared), clk, keys.ES256)
	token, sealed := mustSign(t, before, keys.ES256), mustSeal(t, before, "p", "x")
	for name := range dump(t, store) {
		if _, ok, err := store.Take(t.Context(), name); !ok || err != nil {
			t.Fatal(name, ok, err)
		}
	}
	newRing(t, keys.NewStoreVault(store, storageKey, shared), clk, keys.ES256)
	elsewhere := newRing(t, keys.NewStoreVault(store, storageKey, nil), clk, keys.ES256)
	mustVerify(t, elsewhere, token, keys.ES256)
	mustUnseal(t, elsewhere, "p", sealed, "x")
}
