package keys_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestFieldsOfTheNextReleaseAreKeptAndNewerKeysStayUnchanged(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	vault := keystest.NewVault()
	ring := func() *keys.Ring {
		return keys.NewRing(vault, keys.Options{Now: func() time.Time { return now }, Algorithms: []keys.Algorithm{keys.EdDSA}})
	}
	if err := ring().Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	const name = "signing-EdDSA"
	write := func(from, to string) {
		_, err := vault.Update(t.Context(), name, func(old []byte) ([]byte, error) {
			return []byte(strings.ReplaceAll(string(old), from, to)), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func() []byte {
		blob, _, err := vault.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return blob
	}
	write(`{"v":1`, `{"v":2,"added":"a"`)
	write(`{"signs_from"`, `{"added":"b","signs_from"`)
	now = now.Add(100 * 24 * time.Hour)
	if err := ring().Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	blob := string(read())
	if strings.Count(blob, "pkcs8") != 2 || !strings.Contains(blob, `"v":2`) || !strings.Contains(blob, `"added":"a"`) || !strings.Contains(blob, `"added":"b"`) {
		t.Error("what was added is lost")
	}
	write(`"v":2`, `"v":3`)
	before := read()
	now = now.Add(100 * 24 * time.Hour)
	if err := ring().Load(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("keys of a newer release: %v", err)
	}
	if !bytes.Equal(read(), before) {
		t.Error("keys of a newer release were written")
	}
}
