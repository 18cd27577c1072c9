package keys_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
)

// FuzzVerify checks that any input that verifies is a token that was signed.
func FuzzVerify(f *testing.F) {
	r := newRing(f, keystest.NewVault(), newClock(), keys.ES256, keys.EdDSA)
	token := mustSign(f, r, keys.EdDSA)
	parts := strings.Split(token, ".")
	for _, seed := range []string{
		"", ".", "..", "...", token, token + ".", mustSign(f, r, keys.ES256),
		parts[0] + "." + parts[1] + ".",
		b64(`{"alg":"none"}`) + "." + parts[1] + ".",
		b64(`{"alg":"EdDSA","crit":["b64"],"b64":false}`) + "." + parts[1] + "." + parts[2],
		b64(`{"alg":["EdDSA"],"kid":1}`) + "." + parts[1] + "." + parts[2],
		b64(strings.Repeat(`{"a":`, 1000)) + "." + parts[1] + "." + parts[2],
		`{"payload":"","signatures":[]}`, strings.Repeat("A", 20_000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := r.Verify(t.Context(), s, keys.ES256, keys.EdDSA)
		if err == nil && string(got) != payload {
			t.Errorf("Verify(%q) gives %q", s, got)
		}
		if err != nil && !errors.Is(err, keys.ErrToken) {
			t.Errorf("Verify(%q): %v, want ErrToken", s, err)
		}
	})
}

// FuzzUnseal checks that a sealed value opens in one spelling only.
func FuzzUnseal(f *testing.F) {
	r := newRing(f, keystest.NewVault(), newClock())
	sealed := mustSeal(f, r, "p", "plaintext")
	for _, seed := range []string{
		"", "A", sealed, sealed + "=", sealed[:10] + "\n" + sealed[10:], sealed[:32], sealed[:len(sealed)-1],
		mustSeal(f, r, "q", "plaintext"), strings.Repeat("A", 70_000), "+/+/", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := r.Unseal(t.Context(), "p", s)
		if s == sealed {
			if err != nil || string(got) != "plaintext" {
				t.Errorf("Unseal: %q, %v", got, err)
			}
			return
		}
		if err != keys.ErrSealed {
			t.Errorf("Unseal(%q): %q, %v; want ErrSealed", s, got, err)
		}
	})
}
