package codes_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestAnyNodeCanRedeem(t *testing.T) {
	clk := newClock()
	store := newStore(clk)
	a := codes.NewStored(store, codes.Options{Now: clk.Now})
	b := codes.NewStored(store, codes.Options{Now: clk.Now})

	code := mustIssue(t, a, record(1), codes.Limits{})
	mustRedeem(t, b, code)
	for _, node := range []*codes.Codes{a, b} {
		_, err := node.Redeem(t.Context(), code, pass)
		wantSpent(t, err)
	}
}

func TestTheStoreHoldsNoCode(t *testing.T) {
	clk := newClock()
	store := newStore(clk)
	c := codes.NewStored(store, codes.Options{Now: clk.Now})
	open := mustIssue(t, c, record(1), codes.Limits{})
	spent := mustIssue(t, c, record(1), codes.Limits{})
	mustRedeem(t, c, spent)

	values := dump(t, store)
	if len(values) != 2 {
		t.Fatalf("the store has %d values, want one record and one marker", len(values))
	}
	for key, value := range values {
		for _, code := range []string{open, spent} {
			raw, err := base64.RawURLEncoding.DecodeString(code)
			if err != nil {
				t.Fatal(err)
			}
			for _, form := range []string{code, string(raw), hex.EncodeToString(raw)} {
				if strings.Contains(key, form) || strings.Contains(value, form) {
					t.Error("the store contains a code")
				}
			}
		}
	}
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	clk := newClock()
	store := newStore(clk)
	c := codes.NewStored(store, codes.Options{Now: clk.Now})
	l := codes.Limits{Capacity: 1}

	store.FailMethods("Put")
	for range 3 {
		if _, err := c.Issue(t.Context(), record(1), l); !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("Issue: error is %v, want ErrUnavailable", err)
		}
	}
	store.Down(false)
	code := mustIssue(t, c, record(1), l) // what failed took no room

	for _, method := range []string{"Get", "CompareAndSwap"} {
		store.FailMethods(method)
		if _, err := c.Redeem(t.Context(), code, pass); !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("%s: error is %v, want ErrUnavailable", method, err)
		}
	}
	store.Down(false)
	mustRedeem(t, c, code)
}

func TestARecordThatCannotBeRemovedStaysSpent(t *testing.T) {
	clk := newClock()
	store := newStore(clk)
	c := codes.NewStored(store, codes.Options{Now: clk.Now})
	// The lifetime is longer than SpentRetention.
	code := mustIssue(t, c, record(1), codes.Limits{Lifetime: 3 * time.Hour})
	store.FailMethods("Take")
	mustRedeem(t, c, code)
	for range 4 {
		_, err := c.Redeem(t.Context(), code, pass)
		wantSpent(t, err)
		clk.Advance(time.Hour)
	}
}

// Advisory class 24: a malformed code causes no call of the store.
func TestAMalformedCodeDoesNotReachTheStore(t *testing.T) {
	store := newStore(newClock())
	c := codes.NewStored(store, codes.Options{})
	store.FailMethods("Get")
	for _, bad := range []string{"", strings.Repeat("A", 42), strings.Repeat("A", 42) + "\n", strings.Repeat("A", 1<<20)} {
		if _, err := c.Redeem(t.Context(), bad, pass); !errors.Is(err, codes.ErrUnknown) {
			t.Errorf("%.50q: error is %v, want ErrUnknown", bad, err)
		}
	}
}

func TestAStoreWithAMalformedRecord(t *testing.T) {
	clk := newClock()
	store := newStore(clk)
	c := codes.NewStored(store, codes.Options{Now: clk.Now})
	code := mustIssue(t, c, record(1), codes.Limits{})
	for key := range dump(t, store) {
		if err := store.Put(t.Context(), key, []byte("{"), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Redeem(t.Context(), code, pass); err == nil || errors.Is(err, codes.ErrUnknown) {
		t.Errorf("error is %v, want one about the record", err)
	}
}
