package codes_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/testclock"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// clock is a clock that tests move by hand.
type clock = testclock.Clock

func newClock() *clock { return testclock.New(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) }

func newStore(clk *clock) *faultystore.Store {
	return faultystore.New(memory.New(memory.Options{Now: clk.Now}))
}

// dump returns all that the store holds.
func dump(t *testing.T, s storage.Store) map[string]string {
	t.Helper()
	values := make(map[string]string)
	err := s.Scan(t.Context(), "", func(key string, value []byte) error {
		values[key] = string(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// eachKind runs a test on codes in memory and on codes in a store.
func eachKind(t *testing.T, test func(t *testing.T, c *codes.Codes, clk *clock)) {
	t.Run("in memory", func(t *testing.T) {
		clk := newClock()
		test(t, codes.NewMemory(codes.Options{Now: clk.Now}), clk)
	})
	t.Run("in a store", func(t *testing.T) {
		clk := newClock()
		test(t, codes.NewStored(newStore(clk), codes.Options{Now: clk.Now}), clk)
	})
}

// record returns a record of the session with a number.
func record(session byte) codes.Record {
	return codes.Record{
		Client:      "42",
		RedirectURI: "https://app.example/callback",
		Challenge:   "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		Session:     [32]byte{session},
		Subject:     "b1d3a2f0-7f0e-4e0e-9d50-2a2a9f0a1c11",
		Grant:       "grant-1",
		Scopes:      []string{"email", "offline"},
		Audience:    []string{"https://api.example"},
		Nonce:       "n-0S6_WzA2Mj",
		AuthTime:    time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC),
	}
}

func pass(*codes.Record) error { return nil }

func mustIssue(t testing.TB, c *codes.Codes, rec codes.Record, l codes.Limits) string {
	t.Helper()
	code, err := c.Issue(t.Context(), rec, l)
	if err != nil {
		t.Fatalf("Issue: %v", err)
	}
	return code
}

func mustRedeem(t testing.TB, c *codes.Codes, code string) *codes.Record {
	t.Helper()
	rec, err := c.Redeem(t.Context(), code, pass)
	if err != nil {
		t.Fatalf("Redeem: %v", err)
	}
	return rec
}

// wantFull checks that there is no room for another code.
func wantFull(t *testing.T, c *codes.Codes, rec codes.Record, l codes.Limits, want codes.FullError) {
	t.Helper()
	_, err := c.Issue(t.Context(), rec, l)
	var full *codes.FullError
	if !errors.As(err, &full) {
		t.Fatalf("Issue: error is %v, want a FullError", err)
	}
	if *full != want {
		t.Errorf("Issue: %+v, want %+v", *full, want)
	}
}

// wantSpent checks that err is a SpentError with the right grant.
func wantSpent(t *testing.T, err error) {
	t.Helper()
	var spent *codes.SpentError
	if !errors.As(err, &spent) {
		t.Fatalf("error is %v, want a SpentError", err)
	}
	want := codes.SpentError{Version: spent.Version, Grant: "grant-1", Client: "42", Challenge: record(0).Challenge, At: spent.At}
	if *spent != want || spent.At == 0 {
		t.Errorf("spent: %+v, want %+v and the time", *spent, want)
	}
}
