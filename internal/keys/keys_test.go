package keys_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

func TestAVaultThatFailsThenRecovers(t *testing.T) {
	clk, v := newClock(), newFakeVault()
	r := keys.NewRing(v, keys.Options{Now: clk.Now, Algorithms: []keys.Algorithm{keys.EdDSA}})
	if v.loads.Load()+v.updates.Load() != 0 {
		t.Error("NewRing asked the vault")
	}
	v.fails.Store(true)
	for range 2 {
		if err := r.Load(t.Context()); !errors.Is(err, errVault) {
			t.Fatalf("Load: %v, want the vault's error", err)
		}
	}
	if _, err := r.Sign(t.Context(), keys.EdDSA, claims{}); !errors.Is(err, errVault) {
		t.Errorf("Sign: %v, want the vault's error", err)
	}
	if _, err := r.Unseal(t.Context(), "p", "x"); !errors.Is(err, errVault) {
		t.Errorf("Unseal: %v, want the vault's error, not ErrSealed", err)
	}
	v.fails.Store(false)
	token := mustSign(t, r, keys.EdDSA) // without a call to Load

	// A loaded ring needs the vault no more.
	v.fails.Store(true)
	v.updates.Store(0)
	if err := r.Load(t.Context()); err != nil {
		t.Errorf("Load: %v", err)
	}
	if v.updates.Load() != 0 {
		t.Error("a loaded ring asked the vault")
	}
	if err := r.Maintain(t.Context()); !errors.Is(err, errVault) {
		t.Errorf("Maintain: %v, want the vault's error", err)
	}
	mustVerify(t, r, token, keys.EdDSA)
	mustSign(t, r, keys.EdDSA)
}

func TestLoadingEndsWithItsContext(t *testing.T) {
	v := &blockedVault{Vault: keystest.NewVault(), entered: make(chan struct{}), leave: make(chan struct{})}
	r := keys.NewRing(v, keys.Options{})
	done := make(chan error)
	go func() { done <- r.Load(t.Context()) }()
	<-v.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v, want the context's error", err)
	}
	close(v.leave)
	if err := <-done; !errors.Is(err, errVault) {
		t.Errorf("Load: %v, want the vault's error", err)
	}
}

// blockedVault lets one caller wait, and then fails.
type blockedVault struct {
	keys.Vault
	entered, leave chan struct{}
}

func (v *blockedVault) Update(context.Context, string, func([]byte) ([]byte, error)) ([]byte, error) {
	close(v.entered)
	<-v.leave
	return nil, errVault
}

func TestAnAlgorithmThatIsAddedLaterGetsKeys(t *testing.T) {
	clk, v := newClock(), keystest.NewVault()
	before := newRing(t, v, clk, keys.EdDSA)
	token := mustSign(t, before, keys.EdDSA)
	if _, ok, _ := v.Load(t.Context(), "signing-ES256"); ok {
		t.Error("keys were made for an algorithm that is not listed")
	}
	after := newRing(t, v, clk, keys.EdDSA, keys.ES256)
	mustVerify(t, after, token, keys.EdDSA)
	mustVerify(t, after, mustSign(t, after, keys.ES256), keys.ES256)
}

func TestMalformedBlobsStayUnchanged(t *testing.T) {
	for _, name := range []string{"signing-EdDSA", "sealing"} {
		for _, rubbish := range []string{"{", "{}", `{"keys":[]}`, `{"keys":[{"pkcs8":"c2VjcmV0"}]}`, `{"root":"c2VjcmV0"}`} {
			v := keystest.NewVault()
			if _, err := v.Update(t.Context(), name, func([]byte) ([]byte, error) { return []byte(rubbish), nil }); err != nil {
				t.Fatal(err)
			}
			err := keys.NewRing(v, keys.Options{Algorithms: []keys.Algorithm{keys.EdDSA}}).Load(t.Context())
			if err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("%s %s: error is %v, want one that does not quote it", name, rubbish, err)
			}
			if blob, _, _ := v.Load(t.Context(), name); string(blob) != rubbish {
				t.Errorf("%s %s: it was overwritten", name, rubbish)
			}
		}
	}
}

func TestARandomSourceThatFailsMakesNoKeys(t *testing.T) {
	broken := errors.New("no entropy")
	r := keys.NewRing(keystest.NewVault(), keys.Options{Rand: iotest.ErrReader(broken)})
	if err := r.Load(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Load: %v, want the source's error", err)
	}
}

func TestValuesWithKeysPrintRedacted(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock(), all...)
	stored := keys.NewStoreVault(memory.New(memory.Options{}), []byte(strings.Repeat("k", 32)), nil)
	for _, value := range []any{r, stored, new(keys.Memory)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got := fmt.Sprintf(verb, value); got != "[redacted]" {
				t.Errorf("%T prints as %.40q with %s", value, got, verb)
			}
		}
	}
}
