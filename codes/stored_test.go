package codes_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestAnyNodeCanRedeem(t *testing.T) {
	clk := newClock()
	store := newFakeStore(clk.Now)
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
	store := newFakeStore(clk.Now)
	c := codes.NewStored(store, codes.Options{Now: clk.Now})
	open := mustIssue(t, c, record(1), codes.Limits{})
	spent := mustIssue(t, c, record(1), codes.Limits{})
	mustRedeem(t, c, spent)

	keys := store.keys()
	if len(keys) != 2 {
		t.Fatalf("the store has the keys %q, want one record and one marker", keys)
	}
	for key, value := range store.values {
		for _, code := range []string{open, spent} {
			if strings.Contains(key, code) || strings.Contains(string(value.value), code) {
				t.Error("the store holds a code")
			}
		}
	}
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	clk := newClock()
	store := newFakeStore(clk.Now)
	c := codes.NewStored(store, codes.Options{Now: clk.Now})
	l := codes.Limits{Capacity: 1}

	store.fail("Put")
	for range 3 {
		if _, err := c.Issue(t.Context(), record(1), l); !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("Issue: error is %v, want ErrUnavailable", err)
		}
	}
	store.fail("")
	code := mustIssue(t, c, record(1), l) // what failed took no room

	for _, method := range []string{"Get", "CompareAndSwap"} {
		store.fail(method)
		if _, err := c.Redeem(t.Context(), code, pass); !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("%s: error is %v, want ErrUnavailable", method, err)
		}
	}
	store.fail("")
	mustRedeem(t, c, code)
}

func TestARecordThatCannotBeRemovedStaysSpent(t *testing.T) {
	clk := newClock()
	store := newFakeStore(clk.Now)
	c := codes.NewStored(store, codes.Options{Now: clk.Now})
	// The lifetime is beyond the usual memory of spent codes.
	code := mustIssue(t, c, record(1), codes.Limits{Lifetime: 3 * time.Hour})
	store.fail("Take")
	mustRedeem(t, c, code)
	for range 4 {
		_, err := c.Redeem(t.Context(), code, pass)
		wantSpent(t, err)
		clk.Advance(time.Hour)
	}
}

func TestAStoreThatHoldsRubbish(t *testing.T) {
	clk := newClock()
	store := newFakeStore(clk.Now)
	c := codes.NewStored(store, codes.Options{Now: clk.Now})
	code := mustIssue(t, c, record(1), codes.Limits{})
	key := store.keys()[0]
	if err := store.Put(t.Context(), key, []byte("{"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Redeem(t.Context(), code, pass); err == nil || errors.Is(err, codes.ErrUnknown) {
		t.Errorf("error is %v, want one about the record", err)
	}
}
