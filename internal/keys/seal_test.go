package keys_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
)

func mustSeal(t testing.TB, r *keys.Ring, label, plaintext string) string {
	t.Helper()
	sealed, err := r.Seal(t.Context(), label, []byte(plaintext))
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return sealed
}

func TestASealedValueOpensWithItsLabel(t *testing.T) {
	v := keystest.NewVault()
	a, b := newRing(t, v, newClock()), newRing(t, v, newClock())
	for _, plaintext := range []string{"", "x", "return to https://app.example/", strings.Repeat("x", 40_000)} {
		sealed := mustSeal(t, a, "sign-in", plaintext)
		got, err := b.Unseal(t.Context(), "sign-in", sealed)
		if err != nil || string(got) != plaintext {
			t.Errorf("%d bytes came back as %d bytes, %v", len(plaintext), len(got), err)
		}
		if len(plaintext) > 10 && strings.Contains(decode(t, sealed), plaintext[:10]) {
			t.Error("the sealed value contains the plaintext")
		}
	}
}

func decode(t testing.TB, s string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestSealingTwiceGivesTwoValues(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock())
	first, second := mustSeal(t, r, "sign-in", "x"), mustSeal(t, r, "sign-in", "x")
	if first == second {
		t.Error("the same value came twice")
	}
}

func TestAForeignOrChangedValueDoesNotOpen(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock())
	anonymous := newRing(t, keystest.NewVault(), newClock())
	sealed := mustSeal(t, r, "sign-in", "x")
	raw := decode(t, sealed)

	bad := map[string]string{
		"empty":           "",
		"another purpose": mustSeal(t, r, "sign-up", "x"),
		"foreign key":     mustSeal(t, anonymous, "sign-in", "x"),
		"nonce alone":     b64(raw[:24]),
		"less than that":  b64(raw[:5]),
		"truncated":       b64(raw[:len(raw)-1]),
		"longer":          b64(raw + "\x00"),
		"padded":          sealed + "=",
		"line break":      sealed[:9] + "\n" + sealed[9:],
		"not base64":      "$" + sealed[1:],
		"huge":            strings.Repeat("A", 1<<20),
		"as big as can":   strings.Repeat("A", 64<<10),
	}
	for i := range len(raw) {
		flipped := []byte(raw)
		flipped[i] ^= 1 << (i % 8)
		bad["flipped bit in byte "+string(rune('0'+i))] = b64(string(flipped))
	}
	for name, value := range bad {
		if got, err := r.Unseal(t.Context(), "sign-in", value); err != keys.ErrSealed {
			t.Errorf("%s: %q, %v; want ErrSealed", name, got, err)
		}
	}
}

func TestAValueThatIsTooLargeToUnsealIsNotSealed(t *testing.T) {
	r := newRing(t, keystest.NewVault(), newClock())
	const most = 64<<10/4*3 - 24 - 16
	if _, err := r.Unseal(t.Context(), "p", mustSeal(t, r, "p", strings.Repeat("x", most))); err != nil {
		t.Errorf("the largest value: %v", err)
	}
	if _, err := r.Seal(t.Context(), "p", make([]byte, most+1)); err == nil {
		t.Error("sealed a value that Unseal refuses")
	}
}

// Sealed values stay readable after a restart, and after any number of rotations.
func TestSealedValuesOutliveRotation(t *testing.T) {
	v, clk := keystest.NewVault(), newClock()
	r := newRing(t, v, clk, keys.EdDSA)
	sealed := mustSeal(t, r, "p", "x")
	for range 10 {
		clk.Advance(50 * day)
		maintain(t, r)
	}
	if _, err := newRing(t, v, clk, keys.EdDSA).Unseal(t.Context(), "p", sealed); err != nil {
		t.Error(err)
	}
	if _, err := r.Unseal(t.Context(), "q", sealed); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("another label: %v, want ErrSealed", err)
	}
}
