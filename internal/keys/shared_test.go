package keys_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
)

func shared(t testing.TB, secret string) *keys.SharedKey {
	t.Helper()
	k, err := keys.NewSharedKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestASharedKeyVerifiesOnlyItsOwnTokens(t *testing.T) {
	k, other := shared(t, strings.Repeat("k", 32)), shared(t, strings.Repeat("o", 64))
	token, err := k.Sign(map[string]string{"sub": "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := k.Verify(token); err != nil || string(payload) != `{"sub":"ada"}` {
		t.Errorf("verified as %s: %v", payload, err)
	}
	r := newRing(t, keystest.NewVault(), newClock(), all...)
	if _, err := r.Verify(t.Context(), token, all...); !errors.Is(err, keys.ErrToken) {
		t.Errorf("a ring: %v", err)
	}
	for name, forged := range map[string]string{
		"nothing": "", "text": "x", "cut": token[:len(token)-1], "none": "eyJhbGciOiJub25lIn0.e30.",
		"of the ring": mustSign(t, r, keys.RS256), "too long": token + strings.Repeat("A", 16<<10),
	} {
		if _, err := k.Verify(forged); !errors.Is(err, keys.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := other.Verify(token); !errors.Is(err, keys.ErrToken) {
		t.Errorf("another key: %v", err)
	}
	if payload, ok := keys.Unverified(token); !ok || string(payload) != `{"sub":"ada"}` {
		t.Errorf("unverified: %s, %v", payload, ok)
	}
	if _, ok := keys.Unverified(mustSign(t, r, keys.ES256)); ok {
		t.Error("a token of another algorithm is accepted as one of HS256")
	}
}

func TestASharedKeyIsLongEnoughAndIsNotPrinted(t *testing.T) {
	if _, err := keys.NewSharedKey(strings.Repeat("k", 31)); err == nil || strings.Contains(err.Error(), "kkk") {
		t.Errorf("31 bytes: %v", err)
	}
	k := shared(t, strings.Repeat("k", 32))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		if printed := fmt.Sprintf(verb, k); printed != "[redacted]" {
			t.Errorf("%s prints %s", verb, printed)
		}
	}
}
