package keys_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
)

func wantPublished(t *testing.T, r *keys.Ring, want ...string) {
	t.Helper()
	if got := published(t, r, keys.EdDSA); !slices.Equal(got, want) {
		t.Errorf("published are %q, want %q", got, want)
	}
}

func TestKeysRotateWithOverlap(t *testing.T) {
	clk := newClock()
	r := newRing(t, keystest.NewVault(), clk, keys.EdDSA)
	first := published(t, r, keys.EdDSA)[0]
	old := mustSign(t, r, keys.EdDSA)

	clk.Advance(89*day - 1)
	maintain(t, r)
	wantPublished(t, r, first)

	// One day before its use the next key is published, but does not sign.
	clk.Advance(1)
	maintain(t, r)
	ids := published(t, r, keys.EdDSA)
	if len(ids) != 2 || ids[0] != first || ids[1] == first {
		t.Fatalf("published are %q, want %q and another", ids, first)
	}
	second := ids[1]
	clk.Advance(day - 1)
	maintain(t, r)
	wantPublished(t, r, first, second)
	late := mustSign(t, r, keys.EdDSA)

	// When its time comes it signs, without a call of Maintain. Tokens of the first key
	// still verify.
	clk.Advance(1)
	wantPublished(t, r, second, first)
	fresh := mustSign(t, r, keys.EdDSA)
	mustVerify(t, r, fresh, keys.EdDSA)
	clk.Advance(48*time.Hour - 1)
	mustVerify(t, r, old, keys.EdDSA)
	mustVerify(t, r, late, keys.EdDSA)
	wantPublished(t, r, second, first)

	// It is published until its retention is over, also if Maintain does not run.
	clk.Advance(1)
	for range 2 {
		wantPublished(t, r, second)
		wantErrToken(t, r, old, keys.EdDSA)
		mustVerify(t, r, fresh, keys.EdDSA)
		maintain(t, r)
	}
}

func TestAKeyIsPublishedBeforeItSignsEvenAfterALongPause(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	first := published(t, newRing(t, v, clk, keys.EdDSA), keys.EdDSA)[0]
	clk.Advance(1000 * day)
	r := newRing(t, v, clk, keys.EdDSA)
	ids := published(t, r, keys.EdDSA)
	if len(ids) != 2 || ids[0] != first {
		t.Fatalf("published are %q, want %q before another", ids, first)
	}
	clk.Advance(day)
	wantPublished(t, r, ids[1], first)
}

func TestTheVaultForgetsKeysThatNoLongerVerify(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	r, other := newRing(t, v, clk, keys.EdDSA), newRing(t, v, clk, keys.EdDSA)
	for range 20 {
		clk.Advance(45 * day)
		maintain(t, r)
		refresh(t, other, r) // since each is notified of the other's write
		blob, _, err := v.Load(t.Context(), "signing-EdDSA")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(secretsIn(t, blob)); n > 2 {
			t.Fatalf("the vault holds %d keys, want 2 at most", n)
		}
	}
}

func TestAnOverlapLongerThanTheRotationMakesOneKeyAtATime(t *testing.T) {
	clk := newClock()
	r := keys.NewRing(keystest.NewVault(), keys.Options{
		Now: clk.Now, Algorithms: []keys.Algorithm{keys.EdDSA}, Rotate: time.Hour, Overlap: day,
	})
	for range 5 {
		maintain(t, r)
		clk.Advance(2 * time.Hour)
	}
	if ids := published(t, r, keys.EdDSA); len(ids) != 2 {
		t.Errorf("published are %q, want the active key and the next", ids)
	}
}

func TestARingSignsWhileItIsMaintained(t *testing.T) {
	clk := newClock()
	r := keys.NewRing(keystest.NewVault(), keys.Options{
		Now: clk.Now, Algorithms: []keys.Algorithm{keys.EdDSA}, Retain: 1000 * day,
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				token, err := r.Sign(t.Context(), keys.EdDSA, claims{})
				if err != nil {
					t.Errorf("Sign: %v", err)
				}
				if _, err := r.Verify(t.Context(), token, keys.EdDSA); err != nil {
					t.Errorf("Verify: %v", err)
				}
			}
		})
	}
	for range 40 {
		clk.Advance(10 * day)
		maintain(t, r)
	}
	wg.Wait()
	if ids := published(t, r, keys.EdDSA); len(ids) < 4 {
		t.Errorf("published are %q, want the keys of several rotations", ids)
	}
}

func TestNodesThatShareAVaultAgree(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	a, b := newRing(t, v, clk, all...), newRing(t, v, clk, all...)
	for _, alg := range all {
		mustVerify(t, b, mustSign(t, a, alg), alg)
	}
	// Both rotate at the same time, and create one key.
	clk.Advance(89 * day)
	var wg sync.WaitGroup
	for _, r := range []*keys.Ring{a, b} {
		wg.Go(func() {
			if err := r.Maintain(t.Context()); err != nil {
				t.Errorf("Maintain: %v", err)
			}
		})
	}
	wg.Wait()
	maintain(t, a)
	for _, alg := range all {
		ids := published(t, a, alg)
		if len(ids) != 2 || !slices.Equal(ids, published(t, b, alg)) {
			t.Errorf("%s: the nodes publish %q and %q, want the same two", alg, ids, published(t, b, alg))
		}
	}
}

func TestANodeWhoseClockIsBehindCanSign(t *testing.T) {
	ahead, behind, v := newClock(), newClock(), keystest.NewVault()
	ahead.Advance(5 * time.Second)
	a, b := newRing(t, v, ahead, keys.EdDSA), newRing(t, v, behind, keys.EdDSA)
	mustVerify(t, a, mustSign(t, b, keys.EdDSA), keys.EdDSA)
	wantPublished(t, b, published(t, a, keys.EdDSA)...)
}

func TestAnUnknownKeyIDCausesOneReadOfTheVault(t *testing.T) {
	clk, v := newClock(), newFakeVault()
	a, b := newRing(t, v, clk, keys.EdDSA), newRing(t, v, clk, keys.EdDSA)
	// b has not run Maintain when a signs with its new key.
	clk.Advance(89 * day)
	maintain(t, a)
	clk.Advance(day)
	token := mustSign(t, a, keys.EdDSA)
	mustVerify(t, b, token, keys.EdDSA)

	foreign := func() string {
		return mustSign(t, newRing(t, keystest.NewVault(), clk, keys.EdDSA), keys.EdDSA)
	}
	v.loads.Store(0)
	v.updates.Store(0)
	made := foreign()
	for range 100 {
		wantErrToken(t, b, made, keys.EdDSA)
		wantErrToken(t, b, foreign(), keys.EdDSA)
	}
	if n := v.loads.Load() + v.updates.Load(); n != 0 {
		t.Errorf("%d calls to the vault within the interval, want 0", n)
	}
	for range 20 { // the same ID any number of times
		clk.Advance(2 * time.Second)
		wantErrToken(t, b, made, keys.EdDSA)
	}
	if n := v.loads.Load(); n != 2 || v.updates.Load() != 0 {
		t.Errorf("%d blobs were loaded and %d updated, want 2 and 0", n, v.updates.Load())
	}

	// An unknown key says nothing about the token if the vault is silent: nor for
	// those who do not ask it, since someone just did.
	v.fails.Store(true)
	for range 3 {
		if _, err := b.Verify(t.Context(), foreign(), keys.EdDSA); !errors.Is(err, errVault) || errors.Is(err, keys.ErrToken) {
			t.Errorf("error is %v, want the vault's", err)
		}
	}
	mustVerify(t, b, token, keys.EdDSA)
}

func TestTheVersionChangesOnlyIfTheKeysChange(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	r, other := newRing(t, v, clk, keys.EdDSA), newRing(t, v, clk, keys.EdDSA)
	mustVerify(t, r, mustSign(t, r, keys.EdDSA), keys.EdDSA)
	foreign := mustSign(t, newRing(t, keystest.NewVault(), clk, keys.EdDSA), keys.EdDSA)
	first := r.Version()
	for range 3 { // each reads the vault
		clk.Advance(time.Minute)
		wantErrToken(t, r, foreign, keys.EdDSA)
		maintain(t, r)
	}
	if r.Version() != first {
		t.Error("it changed, but the keys are the same")
	}
	clk.Advance(89 * day)
	maintain(t, other)
	wantErrToken(t, r, foreign, keys.EdDSA)
	second := r.Version()
	if ids := published(t, r, keys.EdDSA); len(ids) != 2 || second == first {
		t.Errorf("with %d keys it is %d, after %d", len(ids), second, first)
	}
	clk.Advance(4 * day)
	maintain(t, r)
	if r.Version() == second {
		t.Error("it stayed the same, but the first key is gone")
	}
}
