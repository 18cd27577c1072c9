package keys_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

var (
	storageKey   = []byte(strings.Repeat("k", 32))
	anotherKey   = []byte(strings.Repeat("K", 32))
	errStoreGone = errors.New("gone")
)

// dump returns all values in a store under the prefix of keys.
func dump(t *testing.T, store storage.Store) map[string][]byte {
	t.Helper()
	values := make(map[string][]byte)
	err := store.Scan(t.Context(), "keys:", func(key string, value []byte) error {
		values[key] = bytes.Clone(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestNodesThatShareAStoreAgree(t *testing.T) {
	clk := newClock()
	store := memory.New(memory.Options{Now: clk.Now})
	a := newRing(t, keys.NewStoreVault(store, storageKey, nil), clk, all...)
	b := newRing(t, keys.NewStoreVault(store, storageKey, nil), clk, all...)
	for _, alg := range all {
		mustVerify(t, b, mustSign(t, a, alg), alg)
	}
	if _, err := b.Unseal(t.Context(), "p", mustSeal(t, a, "p", "x")); err != nil {
		t.Error(err)
	}
}

func TestNodesThatStartAtTheSameTimeMakeOneKey(t *testing.T) {
	clk := newClock()
	store := memory.New(memory.Options{Now: clk.Now})
	rings := make([]*keys.Ring, 8)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range rings {
		rings[i] = keys.NewRing(keys.NewStoreVault(store, storageKey, nil), keys.Options{
			Now: clk.Now, Algorithms: []keys.Algorithm{keys.ES256, keys.EdDSA},
		})
		wg.Go(func() {
			<-start
			if err := rings[i].Load(t.Context()); err != nil {
				t.Errorf("Load: %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	sealed := mustSeal(t, rings[0], "p", "x")
	for _, r := range rings {
		if ids := published(t, r, keys.ES256); len(ids) != 1 {
			t.Errorf("published are %q, want one key", ids)
		}
		mustVerify(t, r, mustSign(t, rings[0], keys.ES256), keys.ES256)
		mustVerify(t, r, mustSign(t, rings[0], keys.EdDSA), keys.EdDSA)
		if _, err := r.Unseal(t.Context(), "p", sealed); err != nil {
			t.Error(err)
		}
	}
}

// A node that loses the race uses the keys that the other node wrote.
func TestAnUpdateThatLosesTheRaceSeesTheOtherNodesChange(t *testing.T) {
	store := memory.New(memory.Options{})
	a, b := keys.NewStoreVault(store, storageKey, nil), keys.NewStoreVault(store, storageKey, nil)
	var seen []string
	got, err := a.Update(t.Context(), "n", func(old []byte) ([]byte, error) {
		seen = append(seen, string(old))
		if len(seen) == 1 {
			if _, err := b.Update(t.Context(), "n", func([]byte) ([]byte, error) { return []byte("b"), nil }); err != nil {
				t.Fatal(err)
			}
		}
		return append(old, 'a'), nil
	})
	if err != nil || string(got) != "ba" || len(seen) != 2 || seen[1] != "b" {
		t.Errorf("Update: %q, %v after seeing %q; want ba after seeing nothing and b", got, err, seen)
	}
}

func TestTheStoreHoldsNoKeyInClear(t *testing.T) {
	clk := newClock()
	store := memory.New(memory.Options{Now: clk.Now})
	vault := keys.NewStoreVault(store, storageKey, nil)
	newRing(t, vault, clk, all...)
	values := dump(t, store)
	if len(values) != 4 {
		t.Fatalf("the store has %d blobs, want 4", len(values))
	}
	for name, value := range values {
		blob, ok, err := vault.Load(t.Context(), strings.TrimPrefix(name, "keys:"))
		if err != nil || !ok {
			t.Fatalf("%s: %v, %v", name, ok, err)
		}
		for _, secret := range secretsIn(t, blob) {
			text := base64.StdEncoding.EncodeToString(secret)
			for _, part := range [][]byte{secret[:16], secret[len(secret)-16:], []byte(text)[:16], storageKey[:8]} {
				if bytes.Contains(value, part) {
					t.Errorf("%s: the store contains a key in clear", name)
				}
			}
		}
	}
}

// secretsIn returns the key material in a vault's blob.
func secretsIn(t *testing.T, blob []byte) [][]byte {
	t.Helper()
	var b struct {
		Root []byte
		Keys []struct{ PKCS8 []byte }
	}
	if err := json.Unmarshal(blob, &b); err != nil {
		t.Fatal(err)
	}
	var secrets [][]byte
	if b.Root != nil {
		secrets = append(secrets, b.Root)
	}
	for _, key := range b.Keys {
		secrets = append(secrets, key.PKCS8)
	}
	if len(secrets) == 0 {
		t.Fatal("a blob without a secret")
	}
	return secrets
}

func TestAWrongStorageKeyOverwritesNothing(t *testing.T) {
	clk := newClock()
	store := memory.New(memory.Options{Now: clk.Now})
	token := mustSign(t, newRing(t, keys.NewStoreVault(store, storageKey, nil), clk, all...), keys.RS256)
	before := dump(t, store)

	r := keys.NewRing(keys.NewStoreVault(store, anotherKey, nil), keys.Options{Now: clk.Now, Algorithms: all})
	for range 2 {
		if err := r.Load(t.Context()); !errors.Is(err, keys.ErrStorageKey) {
			t.Errorf("Load: %v, want ErrStorageKey", err)
		}
		if err := r.Maintain(t.Context()); !errors.Is(err, keys.ErrStorageKey) {
			t.Errorf("Maintain: %v, want ErrStorageKey", err)
		}
	}
	for name, value := range dump(t, store) {
		if !bytes.Equal(value, before[name]) {
			t.Errorf("%s was overwritten", name)
		}
	}
	mustVerify(t, newRing(t, keys.NewStoreVault(store, storageKey, nil), clk, all...), token, keys.RS256)
}

func TestAStorageKeyThatIsTooShortIsRefused(t *testing.T) {
	store := memory.New(memory.Options{})
	for _, key := range [][]byte{nil, storageKey[:31]} {
		r := keys.NewRing(keys.NewStoreVault(store, key, nil), keys.Options{})
		if err := r.Load(t.Context()); !errors.Is(err, keys.ErrStorageKeyTooShort) {
			t.Errorf("%d bytes: %v, want ErrStorageKeyTooShort", len(key), err)
		}
	}
	if len(dump(t, store)) != 0 {
		t.Error("keys were stored under a short storage key")
	}
}

// Anyone who can write to the store cannot pass one blob off as another.
func TestABlobOpensOnlyUnderItsName(t *testing.T) {
	clk := newClock()
	store := memory.New(memory.Options{Now: clk.Now})
	vault := keys.NewStoreVault(store, storageKey, nil)
	newRing(t, vault, clk, keys.EdDSA)
	blob := dump(t, store)["keys:sealing"]
	if err := store.Put(t.Context(), "keys:signing-EdDSA", blob, day); err != nil {
		t.Fatal(err)
	}
	if _, _, err := vault.Load(t.Context(), "signing-EdDSA"); !errors.Is(err, keys.ErrStorageKey) {
		t.Errorf("Load: %v, want ErrStorageKey", err)
	}
}

func TestKeysThatAreMaintainedDoNotExpire(t *testing.T) {
	clk := newClock()
	store := memory.New(memory.Options{Now: clk.Now})
	r := newRing(t, keys.NewStoreVault(store, storageKey, nil), clk, keys.EdDSA)
	sealed := mustSeal(t, r, "p", "x")
	for range 6 {
		clk.Advance(300 * day)
		maintain(t, r)
	}
	restarted := newRing(t, keys.NewStoreVault(store, storageKey, nil), clk, keys.EdDSA)
	if _, err := restarted.Unseal(t.Context(), "p", sealed); err != nil {
		t.Errorf("after five years: %v", err)
	}
}

func TestAStoreThatDoesNotAnswerIsNotAnEmptyOne(t *testing.T) {
	vault := keys.NewStoreVault(goneStore{}, storageKey, nil)
	if _, ok, err := vault.Load(t.Context(), "n"); ok || !errors.Is(err, errStoreGone) {
		t.Errorf("Load: %v, %v; want the store's error", ok, err)
	}
	_, err := vault.Update(t.Context(), "n", func([]byte) ([]byte, error) {
		t.Error("change was called")
		return nil, nil
	})
	if !errors.Is(err, errStoreGone) {
		t.Errorf("Update: %v, want the store's error", err)
	}
}

// goneStore returns an error for every read.
type goneStore struct{ storage.Store }

func (goneStore) Get(context.Context, string) ([]byte, bool, error) { return nil, false, errStoreGone }

func TestVaultsFollowTheContract(t *testing.T) {
	for name, v := range map[string]keys.Vault{
		"memory": keystest.NewVault(),
		"store":  keys.NewStoreVault(memory.New(memory.Options{}), storageKey, nil),
	} {
		t.Run(name, func(t *testing.T) {
			update := func(change func([]byte) ([]byte, error)) (string, error) {
				blob, err := v.Update(t.Context(), "n", change)
				return string(blob), err
			}
			if blob, ok, err := v.Load(t.Context(), "n"); blob != nil || ok || err != nil {
				t.Errorf("Load of nothing: %q, %v, %v", blob, ok, err)
			}
			if got, err := update(func(old []byte) ([]byte, error) {
				if old != nil {
					t.Errorf("change got %q, want nil", old)
				}
				return nil, nil
			}); got != "" || err != nil {
				t.Errorf("Update that leaves nothing: %q, %v", got, err)
			}
			if got, err := update(func([]byte) ([]byte, error) { return []byte("one"), nil }); got != "one" || err != nil {
				t.Errorf("Update: %q, %v", got, err)
			}
			if got, err := update(func(old []byte) ([]byte, error) {
				copy(old, "xxx")
				return nil, nil
			}); got != "one" || err != nil {
				t.Errorf("Update that leaves: %q, %v", got, err)
			}
			refused := errors.New("no")
			if _, err := update(func([]byte) ([]byte, error) { return []byte("two"), refused }); !errors.Is(err, refused) {
				t.Errorf("Update: %v, want the change's error", err)
			}
			if blob, ok, err := v.Load(t.Context(), "n"); string(blob) != "one" || !ok || err != nil {
				t.Errorf("Load: %q, %v, %v; want one", blob, ok, err)
			}
		})
	}
}
