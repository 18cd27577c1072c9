package ssostorage

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// sweepEvery is how often expired values are removed.
const sweepEvery = time.Minute

// A Store keeps values in a map. It evicts none: when it is full, it refuses new values.
type Store struct {
	capacity int
	now      func() time.Time
	identity string // a new one for each Store, since a new Store has lost all values

	mu       sync.Mutex
	values   map[string]entry // nil: closed
	watchers []*watcher       // replaced, never changed in place
	swept    time.Time
}

type entry struct {
	value   []byte
	expires time.Time
}

type watcher struct{ fn func(storage.Change) }

// NewStore returns an empty store for a number of values.
func NewStore(capacity int, now func() time.Time) *Store {
	return &Store{capacity: capacity, now: now, identity: rand.Text(), values: map[string]entry{}, swept: now()}
}

// lock locks the store, unless it is closed or the context is over.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("using the map store: %w", err)
	}
	s.mu.Lock()
	if s.values == nil {
		s.mu.Unlock()
		return storage.ErrClosed
	}
	return nil
}

// live returns the value under key. The caller holds the lock.
func (s *Store) live(key string) ([]byte, bool) {
	e, ok := s.values[key]
	if !ok || !s.now().Before(e.expires) {
		return nil, false
	}
	return e.value, true
}

// set stores a copy of value. The caller holds the lock. It returns false if there is no
// room.
func (s *Store) set(key string, value []byte, lifetime time.Duration) bool {
	now := s.now()
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for old, e := range s.values {
			if !now.Before(e.expires) {
				delete(s.values, old)
			}
		}
	}
	if _, replaces := s.values[key]; !replaces && len(s.values) >= s.capacity {
		return false
	}
	// Rounded up, so that a lifetime below a millisecond is not zero.
	lifetime = (lifetime + time.Millisecond - 1).Truncate(time.Millisecond)
	s.values[key] = entry{clone(value), now.Add(lifetime)}
	return true
}

// Get implements [storage.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	if err := s.lock(ctx); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	value, ok := s.live(key)
	if !ok {
		return nil, false, nil
	}
	return clone(value), true, nil
}

// Put implements [storage.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return s.write(ctx, key, value, lifetime, fmt.Errorf("%w: the map store is full; raise its capacity", storage.ErrUnavailable))
}

// Pin implements [storage.Store]. All values are pinned, since none is evicted.
func (s *Store) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return s.write(ctx, key, value, lifetime, fmt.Errorf("pinning in the map store: %w", storage.ErrFull))
}

// write stores value under key. It returns full if there is no room.
func (s *Store) write(ctx context.Context, key string, value []byte, lifetime time.Duration, full error) error {
	if err := storage.CheckWrite(key, value, lifetime); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	stored := s.set(key, value, lifetime)
	s.mu.Unlock()
	if !stored {
		return full
	}
	s.changed(key)
	return nil
}

// Take implements [storage.Store].
func (s *Store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	if err := s.lock(ctx); err != nil {
		return nil, false, err
	}
	value, ok := s.live(key)
	delete(s.values, key)
	s.mu.Unlock()
	if !ok {
		return nil, false, nil
	}
	s.changed(key)
	return value, true, nil
}

// CompareAndSwap implements [storage.Store].
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if err := storage.CheckWrite(key, next, lifetime); err != nil {
		return false, err
	}
	if err := s.lock(ctx); err != nil {
		return false, err
	}
	value, ok := s.live(key)
	swaps := ok == (old != nil) && bytes.Equal(value, old)
	stored := swaps && s.set(key, next, lifetime)
	s.mu.Unlock()
	if !swaps {
		return false, nil
	}
	if !stored {
		return false, fmt.Errorf("%w: the map store is full; raise its capacity", storage.ErrUnavailable)
	}
	s.changed(key)
	return true, nil
}

// Scan implements [storage.Store]. It calls fn without the lock, so fn may use the store.
func (s *Store) Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	found := map[string][]byte{}
	for key := range s.values {
		if value, ok := s.live(key); ok && strings.HasPrefix(key, prefix) {
			found[key] = clone(value)
		}
	}
	s.mu.Unlock()
	for key, value := range found {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

// Watch implements [storage.Store].
func (s *Store) Watch(fn func(storage.Change)) (stop func()) {
	w := &watcher{fn}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(slices.Clone(s.watchers), w)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(slices.Clone(s.watchers), func(other *watcher) bool { return other == w })
	}
}

// changed calls the watchers without the lock, so they may use the store.
func (s *Store) changed(key string) {
	s.mu.Lock()
	watchers := s.watchers
	s.mu.Unlock()
	for _, w := range watchers {
		w.fn(storage.Change{Key: key})
	}
}

// Identity implements [storage.Identified].
func (s *Store) Identity(string) string { return s.identity }

// AskIdentity implements [storage.Identified].
func (s *Store) AskIdentity(context.Context, string) (string, error) { return s.identity, nil }

// Close implements [storage.Store]. It drops all values.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values, s.watchers = nil, nil
	return nil
}

// clone never returns nil, since an empty value is a value.
func clone(value []byte) []byte { return append([]byte{}, value...) }

// Interface guards
var (
	_ storage.Store      = (*Store)(nil)
	_ storage.Identified = (*Store)(nil)
)
