package storagetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/caddy-sso/caddy-sso/storage"
)

func wantScan(t *testing.T, s storage.Store, prefix string, values map[string]string) {
	t.Helper()
	got := make(map[string]string)
	err := s.Scan(t.Context(), prefix, func(key string, value []byte) error {
		if _, again := got[key]; again {
			t.Errorf("scanning %q: %q came twice", prefix, key)
		}
		got[key] = string(value)
		return nil
	})
	if err != nil {
		t.Fatalf("scanning %q: %v", prefix, err)
	}
	if !maps.Equal(got, values) {
		t.Fatalf("scanning %q: got %d values, want %d\n%.200v", prefix, len(got), len(values), got)
	}
}

func testScan(t *testing.T, o Opened) {
	wantScan(t, o.Store, "", map[string]string{})
	all := make(map[string]string)
	for i := range 1200 {
		key, value := fmt.Sprintf("s:%04d", i), fmt.Sprint(i)
		all[key] = value
		put(t, o.Store, key, value)
	}
	put(t, o.Store, "r:", "before")
	put(t, o.Store, "t:", "after")
	if err := o.Store.Put(t.Context(), "s:expired", []byte("x"), o.Unit); err != nil {
		t.Fatal(err)
	}
	put(t, o.Store, "s:taken", "x")
	if _, _, err := o.Store.Take(t.Context(), "s:taken"); err != nil {
		t.Fatal(err)
	}
	o.Pass(o.Unit)
	wantScan(t, o.Store, "s:", all)
	wantScan(t, o.Store, "s:0042", map[string]string{"s:0042": "42"})
	wantScan(t, o.Store, "none", map[string]string{})
	all["r:"], all["t:"] = "before", "after"
	wantScan(t, o.Store, "", all)
}

// testScanSeek scans by what many engines have to read everything for, and a
// [storage.Seeker] has not.
func testScanSeek(t *testing.T, o Opened) {
	all := make(map[string]string)
	for i := range 500 {
		key := fmt.Sprintf("session:%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
		all[key] = fmt.Sprint(i)
		put(t, o.Store, key, "before")
		put(t, o.Store, key, all[key])
	}
	for key, value := range all {
		for _, length := range []int{len("session:") + 16, len("session:") + 17, len(key)} {
			wantScan(t, o.Store, key[:length], map[string]string{key: value})
		}
	}
	for key := range all {
		if _, ok, err := o.Store.Take(t.Context(), key); !ok || err != nil {
			t.Fatalf("%s: %v, %v", key, ok, err)
		}
		wantScan(t, o.Store, key[:len("session:")+16], map[string]string{})
		break
	}
	wantScan(t, o.Store, "session:0123456789abcdef", map[string]string{})
	put(t, o.Store, "session:", "short")
	if _, ok, err := o.Store.Get(t.Context(), "session:"); !ok || err != nil {
		t.Errorf("a key that is no longer: %v, %v", ok, err)
	}
}

func testScanError(t *testing.T, o Opened) {
	put(t, o.Store, "a", "1")
	put(t, o.Store, "b", "1")
	stop, calls := errors.New("enough"), 0
	err := o.Store.Scan(t.Context(), "", func(string, []byte) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Fatalf("%v after %d calls; want the callback's error after one", err, calls)
	}
}

func testScanReentrant(t *testing.T, o Opened) {
	const n = 300
	for i := range n {
		put(t, o.Store, fmt.Sprintf("s:%03d", i), "1")
	}
	err := o.Store.Scan(t.Context(), "s:", func(key string, _ []byte) error {
		if _, ok, err := o.Store.Take(t.Context(), key); !ok || err != nil {
			t.Errorf("taking %q: %v, %v", key, ok, err)
		}
		return o.Store.Put(t.Context(), "other:"+key, []byte("1"), long)
	})
	if err != nil {
		t.Fatal(err)
	}
	wantScan(t, o.Store, "s:", map[string]string{})
}
