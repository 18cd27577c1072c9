package codes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/storage"
)

// clock is a clock that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fakeStore is a store in a map that can be told to fail. Methods that codes
// have no use for come from the nil interface, and panic.
type fakeStore struct {
	storage.Store
	now func() time.Time

	mu     sync.Mutex
	values map[string]fakeValue
	fails  string // the method that fails
}

type fakeValue struct {
	value   []byte
	expires time.Time
}

func newFakeStore(now func() time.Time) *fakeStore {
	return &fakeStore{now: now, values: make(map[string]fakeValue)}
}

// fail makes one method fail from now on; none with "".
func (s *fakeStore) fail(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = method
}

func (s *fakeStore) failing(method string) error {
	if s.fails == method {
		return fmt.Errorf("fake store: %w", storage.ErrUnavailable)
	}
	return nil
}

func (s *fakeStore) get(key string) ([]byte, bool) {
	v, ok := s.values[key]
	if !ok || !s.now().Before(v.expires) {
		return nil, false
	}
	return slices.Clone(v.value), true
}

func (s *fakeStore) put(key string, value []byte, lifetime time.Duration) error {
	if lifetime <= 0 {
		return errors.New("fake store: lifetime is not positive")
	}
	s.values[key] = fakeValue{slices.Clone(value), s.now().Add(lifetime)}
	return nil
}

func (s *fakeStore) Get(_ context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("Get"); err != nil {
		return nil, false, err
	}
	value, ok := s.get(key)
	return value, ok, nil
}

func (s *fakeStore) Put(_ context.Context, key string, value []byte, lifetime time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("Put"); err != nil {
		return err
	}
	return s.put(key, value, lifetime)
}

func (s *fakeStore) Take(_ context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("Take"); err != nil {
		return nil, false, err
	}
	value, ok := s.get(key)
	delete(s.values, key)
	return value, ok, nil
}

func (s *fakeStore) CompareAndSwap(_ context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("CompareAndSwap"); err != nil {
		return false, err
	}
	value, ok := s.get(key)
	if ok != (old != nil) || !slices.Equal(value, old) {
		return false, nil
	}
	return true, s.put(key, next, lifetime)
}

// keys lists what is stored.
func (s *fakeStore) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.values {
		keys = append(keys, key)
	}
	return keys
}

// eachKind runs a test on codes in memory and on codes in a store.
func eachKind(t *testing.T, test func(t *testing.T, c *codes.Codes, clk *clock)) {
	t.Run("in memory", func(t *testing.T) {
		clk := newClock()
		test(t, codes.NewMemory(codes.Options{Now: clk.Now}), clk)
	})
	t.Run("in a store", func(t *testing.T) {
		clk := newClock()
		test(t, codes.NewStored(newFakeStore(clk.Now), codes.Options{Now: clk.Now}), clk)
	})
}

// record is a record of the numbered session.
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

// wantFull asserts that there is no room for another code.
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

// wantSpent asserts that err says "spent", and of which grant.
func wantSpent(t *testing.T, err error) {
	t.Helper()
	var spent *codes.SpentError
	if !errors.As(err, &spent) {
		t.Fatalf("error is %v, want a SpentError", err)
	}
	if want := (codes.SpentError{Grant: "grant-1", Client: "42"}); *spent != want {
		t.Errorf("spent: %+v, want %+v", *spent, want)
	}
}
