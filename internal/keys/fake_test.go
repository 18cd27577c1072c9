package keys_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/testclock"
)

const day = 24 * time.Hour

// clock is a clock that tests move by hand.
type clock = testclock.Clock

func newClock() *clock { return testclock.New(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) }

// fakeVault counts the calls of a vault, and can be made to fail.
type fakeVault struct {
	keys.Vault
	fails          atomic.Bool
	loads, updates atomic.Int64
}

var errVault = errors.New("the vault does not answer")

func newFakeVault() *fakeVault {
	return &fakeVault{Vault: keystest.NewVault()}
}

func (v *fakeVault) Load(ctx context.Context, name string) ([]byte, bool, error) {
	v.loads.Add(1)
	if v.fails.Load() {
		return nil, false, errVault
	}
	return v.Vault.Load(ctx, name)
}

func (v *fakeVault) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	v.updates.Add(1)
	if v.fails.Load() {
		return nil, errVault
	}
	return v.Vault.Update(ctx, name, change)
}

// all are the algorithms that a ring can sign with.
var all = []keys.Algorithm{keys.RS256, keys.ES256, keys.EdDSA}

// newRing returns a loaded ring over v.
func newRing(t testing.TB, v keys.Vault, clk *clock, algs ...keys.Algorithm) *keys.Ring {
	t.Helper()
	r := keys.NewRing(v, keys.Options{Now: clk.Now, Algorithms: algs})
	if err := r.Load(t.Context()); err != nil {
		t.Fatalf("Load: %v", err)
	}
	return r
}

// claims are the claims that tests sign.
type claims struct {
	Subject string `json:"sub"`
	Scope   string `json:"scope,omitempty"`
}

const payload = `{"sub":"b1d3a2f0"}`

func mustSign(t testing.TB, r *keys.Ring, alg keys.Algorithm) string {
	t.Helper()
	token, err := r.Sign(t.Context(), alg, claims{Subject: "b1d3a2f0"})
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	return token
}

func mustVerify(t testing.TB, r *keys.Ring, token string, algs ...keys.Algorithm) {
	t.Helper()
	got, err := r.Verify(t.Context(), token, algs...)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if string(got) != payload {
		t.Errorf("payload is %s, want %s", got, payload)
	}
}

func wantErrToken(t *testing.T, r *keys.Ring, token string, algs ...keys.Algorithm) {
	t.Helper()
	if got, err := r.Verify(t.Context(), token, algs...); !errors.Is(err, keys.ErrToken) {
		t.Errorf("Verify: %q, %v; want ErrToken", got, err)
	}
}

// published returns the IDs of the published keys, in their order.
func published(t *testing.T, r *keys.Ring, alg keys.Algorithm) []string {
	t.Helper()
	set, err := r.Public(t.Context(), alg)
	if err != nil {
		t.Fatalf("Public: %v", err)
	}
	var ids []string
	for _, key := range set {
		if !key.IsPublic() || !key.Valid() {
			t.Fatalf("key %s is not a valid public key", key.KeyID)
		}
		ids = append(ids, key.KeyID)
	}
	return ids
}

func maintain(t *testing.T, r *keys.Ring) {
	t.Helper()
	if err := r.Maintain(t.Context()); err != nil {
		t.Fatalf("Maintain: %v", err)
	}
}
