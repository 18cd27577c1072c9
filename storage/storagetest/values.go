package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

const long = time.Hour

func put(t *testing.T, s storage.Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(value), long); err != nil {
		t.Fatalf("putting %q: %v", key, err)
	}
}

// want checks that key holds value.
func want(t *testing.T, s storage.Store, key, value string) {
	t.Helper()
	got, ok, err := s.Get(t.Context(), key)
	if err != nil || !ok || string(got) != value {
		t.Fatalf("key %q: got %q, %v, %v; want %q", key, got, ok, err, value)
	}
}

func wantNone(t *testing.T, s storage.Store, key string) {
	t.Helper()
	got, ok, err := s.Get(t.Context(), key)
	if err != nil || ok || got != nil {
		t.Fatalf("key %q: got %q, %v, %v; want nothing", key, got, ok, err)
	}
}

func swap(t *testing.T, s storage.Store, key string, old, next []byte) bool {
	t.Helper()
	swapped, err := s.CompareAndSwap(t.Context(), key, old, next, long)
	if err != nil {
		t.Fatalf("swapping %q: %v", key, err)
	}
	return swapped
}

func testGetPut(t *testing.T, o Opened) {
	wantNone(t, o.Store, "a")
	put(t, o.Store, "a", "1")
	put(t, o.Store, "b", "2")
	want(t, o.Store, "a", "1")
	put(t, o.Store, "a", "3")
	want(t, o.Store, "a", "3")
	want(t, o.Store, "b", "2")
}

func testTake(t *testing.T, o Opened) {
	if v, ok, err := o.Store.Take(t.Context(), "a"); v != nil || ok || err != nil {
		t.Fatalf("taking nothing: %q, %v, %v", v, ok, err)
	}
	put(t, o.Store, "a", "1")
	if v, ok, err := o.Store.Take(t.Context(), "a"); string(v) != "1" || !ok || err != nil {
		t.Fatalf("taking: %q, %v, %v", v, ok, err)
	}
	wantNone(t, o.Store, "a")
	if _, ok, err := o.Store.Take(t.Context(), "a"); ok || err != nil {
		t.Fatalf("taking again: %v, %v", ok, err)
	}
	put(t, o.Store, "a", "2")
	want(t, o.Store, "a", "2")
}

func testEmptyValue(t *testing.T, o Opened) {
	if err := o.Store.Put(t.Context(), "a", nil, long); err != nil {
		t.Fatal(err)
	}
	got, ok, err := o.Store.Get(t.Context(), "a")
	if err != nil || !ok || got == nil || len(got) != 0 {
		t.Fatalf("got %#v, %v, %v; want an empty value that is not nil", got, ok, err)
	}
	if swap(t, o.Store, "a", nil, []byte("x")) {
		t.Fatal("created over an empty value")
	}
	if !swap(t, o.Store, "a", []byte{}, []byte("x")) {
		t.Fatal("an empty value was not swapped")
	}
	want(t, o.Store, "a", "x")
	if swap(t, o.Store, "none", []byte{}, []byte("x")) {
		t.Fatal("an empty old value created")
	}
}

func testCreate(t *testing.T, o Opened) {
	if !swap(t, o.Store, "a", nil, []byte("1")) {
		t.Fatal("not created")
	}
	if swap(t, o.Store, "a", nil, []byte("2")) {
		t.Fatal("created twice")
	}
	want(t, o.Store, "a", "1")
}

func testSwap(t *testing.T, o Opened) {
	put(t, o.Store, "a", "1")
	if swap(t, o.Store, "a", []byte("0"), []byte("2")) {
		t.Fatal("swapped another value")
	}
	want(t, o.Store, "a", "1")
	if !swap(t, o.Store, "a", []byte("1"), []byte("2")) {
		t.Fatal("not swapped")
	}
	want(t, o.Store, "a", "2")
}

func testSwapNeverCreates(t *testing.T, o Opened) {
	if swap(t, o.Store, "a", []byte("1"), []byte("2")) {
		t.Fatal("swapped nothing")
	}
	wantNone(t, o.Store, "a")
	put(t, o.Store, "a", "1")
	if _, _, err := o.Store.Take(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if swap(t, o.Store, "a", []byte("1"), []byte("2")) {
		t.Fatal("swapped what was removed")
	}
	wantNone(t, o.Store, "a")
}

func testExpiry(t *testing.T, o Opened) {
	ctx := t.Context()
	if err := o.Store.Put(ctx, "a", []byte("1"), o.Unit); err != nil {
		t.Fatal(err)
	}
	put(t, o.Store, "stays", "1")
	want(t, o.Store, "a", "1")
	o.Pass(o.Unit)
	wantNone(t, o.Store, "a")
	want(t, o.Store, "stays", "1")
	if _, ok, err := o.Store.Take(ctx, "a"); ok || err != nil {
		t.Fatalf("took an expired value: %v, %v", ok, err)
	}
	if err := o.Store.Put(ctx, "b", []byte("1"), o.Unit); err != nil {
		t.Fatal(err)
	}
	o.Pass(o.Unit)
	if swap(t, o.Store, "b", []byte("1"), []byte("2")) {
		t.Fatal("swapped an expired value")
	}
	if !swap(t, o.Store, "b", nil, []byte("3")) {
		t.Fatal("an expired value stopped a creation")
	}
	want(t, o.Store, "b", "3")
}

func testLifetimeRenewed(t *testing.T, o Opened) {
	ctx := t.Context()
	for _, key := range []string{"put", "swapped"} {
		if err := o.Store.Put(ctx, key, []byte("1"), o.Unit); err != nil {
			t.Fatal(err)
		}
	}
	put(t, o.Store, "put", "2")
	if !swap(t, o.Store, "swapped", []byte("1"), []byte("2")) {
		t.Fatal("not swapped")
	}
	put(t, o.Store, "shorter", "1")
	if swapped, err := o.Store.CompareAndSwap(ctx, "shorter", []byte("1"), []byte("2"), o.Unit); !swapped || err != nil {
		t.Fatalf("swapping for a shorter lifetime: %v, %v", swapped, err)
	}
	o.Pass(o.Unit)
	want(t, o.Store, "put", "2")
	want(t, o.Store, "swapped", "2")
	wantNone(t, o.Store, "shorter")
}

func testLifetimeInvalid(t *testing.T, o Opened) {
	for _, lifetime := range []time.Duration{0, -time.Second} {
		if err := o.Store.Put(t.Context(), "a", []byte("1"), lifetime); err == nil {
			t.Errorf("put with lifetime %s", lifetime)
		}
		if _, err := o.Store.CompareAndSwap(t.Context(), "a", nil, []byte("1"), lifetime); err == nil {
			t.Errorf("created with lifetime %s", lifetime)
		}
	}
	wantNone(t, o.Store, "a")
}

// each calls every method that can fail.
func each(ctx context.Context, s storage.Store, key string, value []byte) map[string]error {
	errs := make(map[string]error)
	_, _, errs["Get"] = s.Get(ctx, key)
	errs["Put"] = s.Put(ctx, key, value, long)
	errs["Pin"] = s.Pin(ctx, key, value, long)
	_, _, errs["Take"] = s.Take(ctx, key)
	_, errs["CompareAndSwap creating"] = s.CompareAndSwap(ctx, key, nil, value, long)
	_, errs["CompareAndSwap"] = s.CompareAndSwap(ctx, key, []byte("1"), value, long)
	errs["Scan"] = s.Scan(ctx, "", func(string, []byte) error { return nil })
	return errs
}

func testContext(t *testing.T, o Opened) {
	put(t, o.Store, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, err := range each(ctx, o.Store, "a", []byte("2")) {
		if !errors.Is(err, context.Canceled) || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: %v; want the context's error", method, err)
		}
	}
	want(t, o.Store, "a", "1")
}

func testClosed(t *testing.T, o Opened) {
	put(t, o.Store, "a", "1")
	if err := o.Store.Close(); err != nil {
		t.Fatal(err)
	}
	for method, err := range each(t.Context(), o.Store, "a", []byte("2")) {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("%s: %v; want ErrClosed", method, err)
		}
	}
	o.Store.Watch(func(storage.Change) {})()
	if err := o.Store.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func testTooLarge(t *testing.T, o Opened) {
	longest := strings.Repeat("k", storage.MaxKeySize)
	largest := bytes.Repeat([]byte("v"), storage.MaxValueSize)
	if err := o.Store.Put(t.Context(), longest, largest, long); err != nil {
		t.Fatalf("the largest that is allowed: %v", err)
	}
	if got, _, err := o.Store.Get(t.Context(), longest); err != nil || !bytes.Equal(got, largest) {
		t.Fatalf("the largest that is allowed came back as %d bytes, %v", len(got), err)
	}
	for _, key := range []string{"", longest + "k"} {
		for method, err := range each(t.Context(), o.Store, key, []byte("1")) {
			if err == nil && method != "Scan" {
				t.Errorf("%s took a key of %d bytes", method, len(key))
			}
		}
	}
	if err := o.Store.Put(t.Context(), "a", append(largest, 'v'), long); err == nil {
		t.Error("put a value that is too large")
	}
	if _, err := o.Store.CompareAndSwap(t.Context(), "a", nil, append(largest, 'v'), long); err == nil {
		t.Error("created a value that is too large")
	}
}

func testKeyBytes(t *testing.T, o Opened) {
	keys := []string{"a\x00b", "a\xff", "*", "?", "[a]", `\`, "ä", " ", "{tag}x", "a\r\nb"}
	for i, key := range keys {
		put(t, o.Store, key, fmt.Sprint(i))
	}
	for i, key := range keys {
		want(t, o.Store, key, fmt.Sprint(i))
		wantScan(t, o.Store, key, map[string]string{key: fmt.Sprint(i)})
	}
}

func testNotShared(t *testing.T, o Opened) {
	value := []byte("12345")
	if err := o.Store.Put(t.Context(), "put", value, long); err != nil {
		t.Fatal(err)
	}
	if !swap(t, o.Store, "swapped", nil, value) {
		t.Fatal("not created")
	}
	copy(value, "xxxxx")
	for _, key := range []string{"put", "swapped"} {
		want(t, o.Store, key, "12345")
		got, _, err := o.Store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		copy(got, "yyyyy")
		want(t, o.Store, key, "12345")
	}
	err := o.Store.Scan(t.Context(), "put", func(_ string, value []byte) error {
		copy(value, "zzzzz")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, o.Store, "put", "12345")
}
