package session_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/file"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// clock is a clock that stands still until told otherwise.
type clock struct{ ms atomic.Int64 }

// format is that of sessions which begin. All tests run in both.
var format = records.JSON

func TestMain(m *testing.M) {
	code := m.Run()
	if flag.Lookup("test.bench").Value.String() != "" {
		os.Exit(code)
	}
	format = records.CBOR
	fmt.Println("once more, in format 2:")
	if skip := flag.Lookup("test.skip"); skip.Value.String() == "" {
		// This test compares both formats, so once is enough.
		if err := skip.Value.Set("^TestFormat2TakesHalfTheRoom$"); err != nil {
			panic(err)
		}
	}
	os.Exit(max(code, m.Run()))
}

func newClock() *clock {
	c := new(clock)
	c.ms.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) Now() time.Time           { return time.UnixMilli(c.ms.Load()) }
func (c *clock) Advance(by time.Duration) { c.ms.Add(by.Milliseconds()) }

// fake is a store that can be down, that can lose its feed, and that calls
// the test at the moments that matter.
type fake struct {
	storage.Store

	down  atomic.Bool // every call fails
	full  atomic.Bool // every write fails
	hangs atomic.Bool // no call is answered before its context ends

	hanging atomic.Int64 // calls that do so now
	mute    atomic.Bool  // the feed tells nothing
	gets    atomic.Int64
	swaps   atomic.Int64 // those that wrote a session

	mu        sync.Mutex
	watcher   func(storage.Change)
	afterGet  func(key string) // the value has been read, but not returned; no user's list
	beforeCAS func(key string) // of a session
	beforePut func(key string)
	failTakes int    // how many Takes fail before one works
	failing   string // the key that they are of

	away    func(key string) bool // what a server keeps that is away; nil: nothing
	awayErr error
}

// awayWith has reads of what is away end with err, which takes its time unless it
// is known at once.
func (f *fake) awayWith(away func(key string) bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.awayErr = away, err
}

func (f *fake) isAway(ctx context.Context, key string) error {
	f.mu.Lock()
	away, err := f.away, f.awayErr
	f.mu.Unlock()
	if away == nil || !away(key) {
		return nil
	}
	if errors.Is(err, storage.ErrTimedOut) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return err
}

func newFake(inner storage.Store) *fake { return &fake{Store: inner} }

var errDown = fmt.Errorf("dialing: %w", storage.ErrUnavailable)

func (f *fake) hooks() (afterGet, beforeCAS func(string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.afterGet, f.beforeCAS
}

func (f *fake) onGet(fn func(key string)) { f.mu.Lock(); f.afterGet = fn; f.mu.Unlock() }
func (f *fake) onCAS(fn func(key string)) { f.mu.Lock(); f.beforeCAS = fn; f.mu.Unlock() }
func (f *fake) onPut(fn func(key string)) { f.mu.Lock(); f.beforePut = fn; f.mu.Unlock() }

// failNextTakes makes so many Takes of one key fail, of the first that is taken.
func (f *fake) failNextTakes(n int) { f.mu.Lock(); f.failTakes, f.failing = n, ""; f.mu.Unlock() }

// Seeks implements [storage.Seeker].
func (f *fake) Seeks(prefix string) bool { return storage.Seeks(f.Store, prefix) }

// waits is what the context of a request carries that counts its calls.
type waits struct{}

func (f *fake) hang(ctx context.Context) {
	if n, ok := ctx.Value(waits{}).(*atomic.Int64); ok {
		n.Add(1)
	}
	if f.hangs.Load() {
		f.hanging.Add(1)
		<-ctx.Done()
		f.hanging.Add(-1)
	}
}

func (f *fake) Get(ctx context.Context, key string) ([]byte, bool, error) {
	f.gets.Add(1)
	if f.hang(ctx); ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if f.down.Load() {
		return nil, false, errDown
	}
	if err := f.isAway(ctx, key); err != nil {
		return nil, false, err
	}
	value, ok, err := f.Store.Get(ctx, key)
	if after, _ := f.hooks(); after != nil && !under(key, "user:") {
		after(key)
	}
	return value, ok, err
}

func (f *fake) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if f.down.Load() || f.full.Load() {
		return errDown
	}
	f.mu.Lock()
	before := f.beforePut
	f.mu.Unlock()
	if before != nil {
		before(key)
	}
	return f.Store.Put(ctx, key, value, lifetime)
}

func (f *fake) Take(ctx context.Context, key string) ([]byte, bool, error) {
	f.mu.Lock()
	if f.failTakes > 0 && f.failing == "" {
		f.failing = key
	}
	fail := f.failTakes > 0 && key == f.failing
	if fail {
		f.failTakes--
	}
	f.mu.Unlock()
	if fail || f.down.Load() {
		return nil, false, errDown
	}
	return f.Store.Take(ctx, key)
}

func (f *fake) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	ofSession := under(key, "session:")
	if _, before := f.hooks(); before != nil && ofSession {
		before(key)
	}
	if f.down.Load() || f.full.Load() {
		return false, errDown
	}
	swapped, err := f.Store.CompareAndSwap(ctx, key, old, next, lifetime)
	if swapped && ofSession {
		f.swaps.Add(1)
	}
	return swapped, err
}

func (f *fake) Watch(fn func(storage.Change)) func() {
	f.mu.Lock()
	f.watcher = fn
	f.mu.Unlock()
	return f.Store.Watch(func(c storage.Change) {
		if !f.mute.Load() {
			fn(c)
		}
	})
}

// lose interrupts the feed.
func (f *fake) lose() {
	f.mu.Lock()
	fn := f.watcher
	f.mu.Unlock()
	fn(storage.Change{Lost: true})
}

var ada = session.User{
	Subject: "7f0c4f1e-7d5c-4b5e-9f6d-0b6f3f1a2b3c",
	Name:    "Ada Lovelace",
	Email:   "ada@example.com",
	Groups:  []string{"admins", "users"},
	Signin:  "local",
	Avatar:  "https://pictures.example/ada.png",

	ProviderID: "10769150350006150715113082367",
}

// world is what most tests need: sessions over a fake over the memory engine.
type world struct {
	*session.Sessions
	t     *testing.T
	cache *session.Cache
	store *fake
	clock *clock
	logs  atomic.Int64
}

func newWorld(t *testing.T, p session.Policy) *world {
	t.Helper()
	c := newClock()
	return worldOn(t, p, c, memory.New(memory.Options{Now: c.Now, Seekable: session.Seekable()}))
}

func worldOn(t *testing.T, p session.Policy, c *clock, inner storage.Store) *world {
	t.Helper()
	return patientWorld(t, p, c, inner, time.Minute)
}

// patientWorld is one in which requests wait for the store for so long.
func patientWorld(t *testing.T, p session.Policy, c *clock, inner storage.Store, patience time.Duration) *world {
	t.Helper()
	w := &world{t: t, clock: c, store: newFake(inner)}
	w.cache = session.NewCache(w.store, session.CacheOptions{
		Now: c.Now, Patience: patience, Logger: func(string, error) { w.logs.Add(1) },
	})
	if p.Format == 0 {
		p.Format = format
	}
	w.Sessions = session.New(w.cache, p)
	t.Cleanup(func() {
		w.cache.Close()
		if err := inner.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// onEngines runs a test on every engine that needs no server.
func onEngines(t *testing.T, p session.Policy, test func(t *testing.T, w *world)) {
	t.Run("memory", func(t *testing.T) { test(t, newWorld(t, p)) })
	t.Run("file", func(t *testing.T) {
		c := newClock()
		inner, err := file.Open(filepath.Join(t.TempDir(), "sso.db"), file.Options{Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		test(t, worldOn(t, p, c, inner))
	})
}

// begin signs Ada in.
func (w *world) begin() (cookie string, s *session.Session) {
	w.t.Helper()
	token, s, err := w.Begin(w.t.Context(), session.SignIn{User: ada})
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Encode(), s
}

// known signs Ada in and has the cache know it.
func (w *world) known() (cookie string, s *session.Session) {
	w.t.Helper()
	cookie, _ = w.begin()
	return cookie, w.check(cookie)
}

// check wants a session.
func (w *world) check(cookie string) *session.Session {
	w.t.Helper()
	s, err := w.Check(w.t.Context(), cookie)
	if err != nil {
		w.t.Fatalf("the session is not valid: %v", err)
	}
	return s
}

// short are the prefixes of keys in format 2.
var short = map[string]string{"session:": "S", "site:": "T", "user:": "U"}

// stored counts the values in the store under a prefix of either format.
func (w *world) stored(t *testing.T, prefix string) (n int) {
	t.Helper()
	for _, prefix := range []string{prefix, short[prefix]} {
		err := w.store.Scan(t.Context(), prefix, func(string, []byte) error {
			n++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func (w *world) storeKey(s *session.Session) string { return storeKey("session:", s.Key()) }

// storeKey is what a record is stored under.
func storeKey(prefix string, k session.Key) string {
	if [16]byte(k[16:]) == [16]byte{} {
		return short[prefix] + string(k[:16])
	}
	return fmt.Sprintf("%s%x", prefix, k[:])
}

// under reports whether a store's key is under a prefix of either format.
func under(key, prefix string) bool {
	return strings.HasPrefix(key, prefix) || strings.HasPrefix(key, short[prefix])
}

// eventually waits for what other goroutines do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// wantEnded waits for the context of a live request to end with its session.
func wantEnded(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
		if cause := context.Cause(ctx); cause != session.ErrEnded {
			t.Fatalf("the cause is %v, not ErrEnded", cause)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the live request goes on")
	}
}
