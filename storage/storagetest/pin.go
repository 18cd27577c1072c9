package storagetest

import (
	"fmt"
	"testing"

	"github.com/caddy-sso/caddy-sso/storage"
)

func pin(t *testing.T, s storage.Store, key, value string) {
	t.Helper()
	if err := s.Pin(t.Context(), key, []byte(value), long); err != nil {
		t.Fatalf("pinning %q: %v", key, err)
	}
}

func testPin(t *testing.T, o Opened) {
	pin(t, o.Store, "a", "1")
	want(t, o.Store, "a", "1")
	pin(t, o.Store, "a", "2")
	want(t, o.Store, "a", "2")
	put(t, o.Store, "a", "3")
	want(t, o.Store, "a", "3")
	if swap(t, o.Store, "a", nil, []byte("x")) {
		t.Fatal("created over a pinned value")
	}
	if !swap(t, o.Store, "a", []byte("3"), []byte("4")) {
		t.Fatal("a pinned value was not swapped")
	}
	wantScan(t, o.Store, "a", map[string]string{"a": "4"})
	if v, ok, err := o.Store.Take(t.Context(), "a"); string(v) != "4" || !ok || err != nil {
		t.Fatalf("taking: %q, %v, %v", v, ok, err)
	}
	wantNone(t, o.Store, "a")
	put(t, o.Store, "a", "5")
	pin(t, o.Store, "a", "6") // over a value that was not
	want(t, o.Store, "a", "6")
	wantScan(t, o.Store, "a", map[string]string{"a": "6"})
}

// Whatever ended goes on once it is forgotten that it did.
func testPinCrowd(t *testing.T, o Opened) {
	put(t, o.Store, "pinned later", "1")
	pin(t, o.Store, "pinned later", "1")
	pin(t, o.Store, "pinned", "1")
	pin(t, o.Store, "replaced", "1")
	put(t, o.Store, "replaced", "1")
	for i := range max(2*o.Crowd, 100) {
		put(t, o.Store, fmt.Sprint(i), "1")
	}
	for _, key := range []string{"pinned", "pinned later", "replaced"} {
		want(t, o.Store, key, "1")
	}
}

func testPinExpiry(t *testing.T, o Opened) {
	for _, key := range []string{"a", "b"} {
		if err := o.Store.Pin(t.Context(), key, []byte("1"), o.Unit); err != nil {
			t.Fatal(err)
		}
	}
	pin(t, o.Store, "b", "2")
	o.Pass(o.Unit)
	wantNone(t, o.Store, "a")
	want(t, o.Store, "b", "2")
}
