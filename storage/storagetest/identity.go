package storagetest

import (
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// A store that loses nothing is the same store, by whatever handle.
func testIdentity(t *testing.T, o Opened) {
	stores := []storage.Store{o.Store}
	if o.Second != nil {
		stores = append(stores, o.Second(t))
	}
	identity := ""
	for _, s := range stores {
		put(t, s, "key", "value")
		asked, err := storage.AskIdentity(t.Context(), s, "key")
		if err != nil || asked == "" {
			t.Fatalf("asked for its identity, it says %q, %v", asked, err)
		}
		if identity == "" {
			identity = asked
		}
		for deadline := time.Now().Add(20 * time.Second); storage.Identity(s, "key") != identity; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("its identity is %q, and asked for it %q, and first of all %q", storage.Identity(s, "key"), asked, identity)
			}
		}
		put(t, s, "key", "another")
		if again, err := storage.AskIdentity(t.Context(), s, "key"); err != nil || again != identity {
			t.Errorf("its identity became %q from %q (%v)", again, identity, err)
		}
	}
}
