package keys_test

import (
	"errors"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

func TestAValueSealedUnderASecretOpensOnlyWithThatSecret(t *testing.T) {
	secret := []byte("a secret of 256 bits, more or less")
	sealed, err := keys.SealUnder(secret, "successor", []byte("next"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := keys.UnsealUnder(secret, "successor", sealed)
	if err != nil || string(plain) != "next" {
		t.Errorf("unsealed %q (%v)", plain, err)
	}
	changed := append([]byte{}, sealed...)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another secret": func() ([]byte, error) { return keys.UnsealUnder([]byte("another"), "successor", sealed) },
		"another label":  func() ([]byte, error) { return keys.UnsealUnder(secret, "other", sealed) },
		"changed":        func() ([]byte, error) { return keys.UnsealUnder(secret, "successor", changed) },
		"cut":            func() ([]byte, error) { return keys.UnsealUnder(secret, "successor", sealed[:10]) },
		"nothing":        func() ([]byte, error) { return keys.UnsealUnder(secret, "successor", nil) },
	} {
		if _, err := open(); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("%s: %v, want ErrSealed", name, err)
		}
	}
}
