package keys_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func mustUnseal(t testing.TB, r *keys.Ring, label, sealed, want string) {
	t.Helper()
	if got, err := r.Unseal(t.Context(), label, sealed); err != nil || string(got) != want {
		t.Errorf("Unseal: %q, %v; want %q", got, err, want)
	}
}

func wantErrSealed(t testing.TB, r *keys.Ring, label, sealed string) {
	t.Helper()
	if got, err := r.Unseal(t.Context(), label, sealed); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("Unseal: %q, %v; want ErrSealed", got, err)
	}
}

func refresh(t testing.TB, rings ...*keys.Ring) {
	t.Helper()
	for _, r := range rings {
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatalf("Refresh: %v", err)
		}
	}
}

func withdraw(t testing.TB, r *keys.Ring, id string) {
	t.Helper()
	if err := r.Withdraw(t.Context(), id); err != nil {
		t.Fatalf("Withdraw: %v", err)
	}
}

// described returns the IDs of the keys with a use and a state.
func described(t testing.TB, r *keys.Ring, use, state string) (ids []string) {
	t.Helper()
	all, err := r.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	for _, d := range all {
		if d.Use == use && d.State == state {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// onRedis opens a separate store on a server, like that of another node.
func onRedis(t *testing.T, server *redistest.Server) storage.Store {
	t.Helper()
	store, err := redis.Open(server.URL(), redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// watching returns the ring of a node. As in the server, it reads the vault when the
// feed reports a possible change.
func watching(t *testing.T, store storage.Store, algs ...keys.Algorithm) *keys.Ring {
	t.Helper()
	r := keys.NewRing(keys.NewStoreVault(store, storageKey, new(keys.Memory)), keys.Options{Algorithms: algs})
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go keys.Follow(ctx, store, r.Refresh, func(err error) {
		if ctx.Err() == nil {
			t.Log(err)
		}
	})
	return r
}

// A Redis comes back empty, and one node starts again before or after the other
// has put its keys back.
func TestKeysDoNotSplitWhenTheStoreComesBackEmpty(t *testing.T) {
	server := redistest.Start(t)
	lives := watching(t, onRedis(t, server), keys.ES256)
	for round := range 5 {
		token, sealed := mustSign(t, lives, keys.ES256), mustSeal(t, lives, "p", "x")
		server.MustCommand("FLUSHALL")
		starts := watching(t, onRedis(t, server), keys.ES256)
		for range 20 {
			// Tokens and values that both nodes make while each may still have only its
			// own keys.
			mustVerifySoon(t, lives, mustSign(t, starts, keys.ES256), keys.ES256)
			mustVerifySoon(t, starts, mustSign(t, lives, keys.ES256), keys.ES256)
		}
		mustVerify(t, starts, token, keys.ES256)
		mustUnsealSoon(t, starts, "p", sealed, "x") // it is in a blob of its own, which is written later
		mustUnsealSoon(t, lives, "p", mustSeal(t, starts, "p", "y"), "y")
		if a, b := published(t, lives, keys.ES256), published(t, starts, keys.ES256); !slices.Equal(a, b) {
			t.Fatalf("round %d: the nodes publish %q and %q, want the same", round, a, b)
		}
	}
}

// mustUnsealSoon unseals what another node sealed, and retries while the change of
// keys is on its way.
func mustUnsealSoon(t *testing.T, r *keys.Ring, label, sealed, want string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		got, err := r.Unseal(t.Context(), label, sealed)
		if err == nil && string(got) == want {
			return
		}
		if err == nil || time.Now().After(deadline) {
			t.Fatalf("Unseal: %q, %v; want %q", got, err, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// mustVerifySoon verifies a token that another node signed, and retries while the
// change of keys is on its way.
func mustVerifySoon(t *testing.T, r *keys.Ring, token string, alg keys.Algorithm) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := r.Verify(t.Context(), token, alg)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Verify: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// There is no feed: both nodes have created keys, and neither has read the vault since.
func TestNodesWithDifferentKeysFinallyUseBoth(t *testing.T) {
	clk, v, lost := newClock(), newFakeVault(), keystest.NewVault()
	a := newRing(t, v, clk, all...)
	tokens := make(map[keys.Algorithm]string)
	for _, alg := range all {
		tokens[alg] = mustSign(t, a, alg)
	}
	sealed := mustSeal(t, a, "p", "a")
	v.Vault = lost // it has lost all keys
	clk.Advance(time.Hour)
	b := newRing(t, v, clk, all...)
	clk.Advance(time.Minute)

	mustUnseal(t, a, "p", mustSeal(t, b, "p", "b"), "b") // a reads the vault, and writes its keys back
	mustUnseal(t, b, "p", sealed, "a")
	for _, alg := range all {
		mustVerify(t, b, tokens[alg], alg)
		if x, y := published(t, a, alg), published(t, b, alg); len(x) != 2 || !slices.Equal(x, y) {
			t.Errorf("%s: the nodes publish %q and %q, want the same two", alg, x, y)
		}
	}
	v.updates.Store(0)
	refresh(t, a, b, a, b)
	if n := v.updates.Load(); n != 0 {
		t.Errorf("%d writes between nodes that agree, want none", n)
	}
}

// By a clock that is ahead, a key has expired that other nodes still use.
func TestNodesWhoseClocksDifferStopWriting(t *testing.T) {
	v, right, ahead := newFakeVault(), newClock(), newClock()
	a, b := newRing(t, v, right, keys.EdDSA), newRing(t, v, ahead, keys.EdDSA)
	old := mustSign(t, a, keys.EdDSA)
	for _, clk := range []*clock{right, ahead} {
		clk.Advance(89 * day)
	}
	maintain(t, a) // creates the next key
	for _, clk := range []*clock{right, ahead} {
		clk.Advance(day + 47*time.Hour)
	}
	ahead.Advance(2 * time.Hour) // by this clock the first key has expired

	refresh(t, a, b)
	maintain(t, b)
	refresh(t, a, b) // each is notified of the other's write
	v.updates.Store(0)
	for range 5 {
		refresh(t, a, b)
	}
	if n := v.updates.Load(); n != 0 {
		t.Errorf("%d writes, want no endless writes", n)
	}
	mustVerify(t, a, old, keys.EdDSA)
	wantErrToken(t, b, old, keys.EdDSA)
}

func TestInventedSealedValuesCauseNoVaultReads(t *testing.T) {
	clk, v := newClock(), newFakeVault()
	r := newRing(t, v, clk, keys.EdDSA)
	foreign := newRing(t, keystest.NewVault(), clk, keys.EdDSA)
	v.loads.Store(0)
	same := mustSeal(t, foreign, "p", "x")
	for range 100 {
		wantErrSealed(t, r, "p", same)
		wantErrSealed(t, r, "p", mustSeal(t, foreign, "p", "x"))
		wantErrSealed(t, r, "p", "AAAA")
	}
	if n := v.loads.Load(); n != 2 {
		t.Errorf("%d blobs were loaded, want the 2 of one vault read", n)
	}
	for range 20 {
		clk.Advance(2 * time.Second)
		wantErrSealed(t, r, "p", same)
	}
	if n := v.loads.Load(); n != 2 {
		t.Errorf("%d blobs were loaded for the same value again, want none", n-2)
	}
	// In an outage the value may be valid, so the error must not say that it is
	// invalid.
	clk.Advance(2 * time.Second)
	v.fails.Store(true)
	if _, err := r.Unseal(t.Context(), "p", mustSeal(t, foreign, "p", "x")); !errors.Is(err, errVault) || errors.Is(err, keys.ErrSealed) {
		t.Errorf("error is %v, want the vault's", err)
	}
}

func TestAWithdrawnSigningKeyNeverComesBack(t *testing.T) {
	for _, alg := range all {
		clk := newClock()
		store := memory.New(memory.Options{Now: clk.Now})
		node := func() *keys.Ring {
			return newRing(t, keys.NewStoreVault(store, storageKey, new(keys.Memory)), clk, alg)
		}
		a, b, unaware := node(), node(), node()
		token := mustSign(t, a, alg)
		mustVerify(t, b, token, alg)
		id := published(t, a, alg)[0]
		withdraw(t, a, id)
		wantErrToken(t, a, token, alg)
		refresh(t, b)
		wantErrToken(t, b, token, alg)

		after := published(t, a, alg)
		if len(after) != 1 || after[0] == id || !slices.Equal(after, published(t, b, alg)) {
			t.Errorf("%s: published are %q and %q, want one new key", alg, after, published(t, b, alg))
		}
		mustVerify(t, b, mustSign(t, a, alg), alg)

		// A node that still has the key, and a store that has lost everything,
		// including the mark.
		maintain(t, unaware)
		wantErrToken(t, unaware, token, alg)
		for name := range dump(t, store) {
			store.Take(t.Context(), name)
		}
		maintain(t, a)
		for _, r := range []*keys.Ring{b, unaware, node()} {
			maintain(t, r)
			wantErrToken(t, r, token, alg)
			if slices.Contains(published(t, r, alg), id) {
				t.Errorf("%s: a withdrawn key is published", alg)
			}
		}
		withdraw(t, b, id) // a second time
		if now := published(t, b, alg); !slices.Equal(now, after) {
			t.Errorf("%s: published are %q after a second withdrawal, want %q", alg, now, after)
		}
	}
}

func TestAWithdrawnRetiredOrNextKeyIsRemoved(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	r := newRing(t, v, clk, keys.EdDSA)
	old := mustSign(t, r, keys.EdDSA)
	clk.Advance(89 * day)
	maintain(t, r)
	next := described(t, r, "EdDSA", keys.StateNext)
	withdraw(t, r, next[0])
	ids := published(t, r, keys.EdDSA)
	if len(ids) != 2 || ids[1] == next[0] {
		t.Errorf("published are %q, want another next key than %q", ids, next)
	}
	mustVerify(t, r, old, keys.EdDSA)
	clk.Advance(2 * day)
	retired := described(t, r, "EdDSA", keys.StateRetired)
	withdraw(t, r, retired[0])
	wantErrToken(t, r, old, keys.EdDSA)
	wantPublished(t, r, ids[1])
}

func TestAWithdrawnActiveKeyIsNotReplacedByARetiredOne(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	r := newRing(t, v, clk, keys.EdDSA)
	clk.Advance(89 * day)
	maintain(t, r)
	clk.Advance(day)
	ids := published(t, r, keys.EdDSA)
	withdraw(t, r, ids[0])
	after := published(t, r, keys.EdDSA)
	if len(after) != 2 || slices.Contains(ids, after[0]) || after[1] != ids[1] {
		t.Errorf("published are %q after %q, want a new key and the retired one", after, ids)
	}
}

func TestAWithdrawnSealingKeyOpensNothing(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	a, b := newRing(t, v, clk), newRing(t, v, clk)
	sealed := mustSeal(t, a, "p", "x")
	withdraw(t, a, described(t, a, keys.Sealing, keys.StateActive)[0])
	refresh(t, b)
	for _, r := range []*keys.Ring{a, b, newRing(t, v, clk)} {
		wantErrSealed(t, r, "p", sealed)
		mustUnseal(t, r, "p", mustSeal(t, a, "p", "y"), "y")
	}
	maintain(t, b)
	wantErrSealed(t, b, "p", sealed)
	if ids := described(t, b, keys.Sealing, keys.StateRetired); len(ids) != 0 {
		t.Errorf("%q are left, want none", ids)
	}
}

func TestAnUnknownKeyCannotBeWithdrawn(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), keys.EdDSA)
	version := r.Version()
	for _, id := range []string{"", "unknown", described(t, newRing(t, keystest.NewVault(), newClock()), keys.Sealing, keys.StateActive)[0]} {
		if err := r.Withdraw(t.Context(), id); !errors.Is(err, keys.ErrNoKey) {
			t.Errorf("%q: %v, want ErrNoKey", id, err)
		}
	}
	if r.Version() != version {
		t.Error("the keys have changed")
	}
}

// The vault's content is that of an earlier release.
func TestASealingKeyWithoutOthersIsRead(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	_, err := v.Update(t.Context(), "sealing", func([]byte) ([]byte, error) {
		return []byte(`{"root":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a, b := newRing(t, v, clk), newRing(t, v, clk)
	mustUnseal(t, b, "p", mustSeal(t, a, "p", "x"), "x")
	blob, _, _ := v.Load(t.Context(), "sealing")
	if string(blob) != `{"root":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}` {
		t.Errorf("it was rewritten: %s", blob)
	}
}
