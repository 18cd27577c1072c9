// Package memory is the storage engine that keeps values in this process.
//
// # Limits
//
// A restart forgets all values. When the store is full of live values, the least
// recently used value is evicted. Pinned values are never evicted; they have a limit of
// their own.
package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/storagefeed"
	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	defaultCapacity = 1_000_000

	// There are more shards than cores, so that cores rarely wait for each other. A
	// shard is not so small that it fills long before the store is full.
	maxShards    = 64
	minShardSize = 1024
)

// Options of a [Store]. The zero value is ready to use.
type Options struct {
	// Capacity is the number of values, and also the number of pinned values beside
	// them. Default: 1 000 000. A large capacity is divided among shards, so a store
	// may evict values, and refuse pinned ones, a few percent before it is full.
	Capacity int

	// Seekable maps prefixes of keys to a number of bytes. Scan finds keys without
	// reading the whole store if it is given the prefix and at least that many bytes
	// more, which must be like random bytes. Default: none.
	Seekable map[string]int

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A Store is a sharded LRU. It starts no goroutine: it removes expired values when
// they are read, and while other values are written.
type Store struct {
	now    func() time.Time
	seed   maphash.Seed
	shards []shard
	seek   []seekable
	feed   storagefeed.Feed
	closed atomic.Bool

	identity string // a new one for each Store
}

// seekable is an entry of Options.Seekable. The first length bytes of such keys
// choose the shard.
type seekable struct {
	prefix string
	length int
}

// New returns an empty store.
func New(o Options) *Store {
	if o.Capacity <= 0 {
		o.Capacity = defaultCapacity
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	n := maxShards
	for n > 1 && o.Capacity/n < minShardSize {
		n /= 2
	}
	s := &Store{now: o.Now, seed: maphash.MakeSeed(), shards: make([]shard, n), identity: rand.Text()}
	for prefix, behind := range o.Seekable {
		s.seek = append(s.seek, seekable{prefix, len(prefix) + behind})
	}
	for i := range s.shards {
		s.shards[i].init((o.Capacity + n - 1) / n)
	}
	return s
}

// Get implements [storage.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.ready(ctx); err != nil {
		return nil, false, err
	}
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	value, ok := sh.live(key, s.now())
	if !ok {
		return nil, false, nil
	}
	return clone(value), true, nil
}

// Put implements [storage.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return s.write(ctx, key, value, lifetime, false)
}

// Pin implements [storage.Store].
func (s *Store) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return s.write(ctx, key, value, lifetime, true)
}

func (s *Store) write(ctx context.Context, key string, value []byte, lifetime time.Duration, pin bool) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := storage.CheckWrite(key, value, lifetime); err != nil {
		return err
	}
	now, evicted, room := s.now(), "", true
	sh := s.shard(key)
	sh.mu.Lock()
	if pin {
		room = sh.pin(key, value, now, now.Add(lifetime))
	} else {
		evicted = sh.add(key, value, now, now.Add(lifetime))
	}
	sh.mu.Unlock()
	if !room {
		return fmt.Errorf("pinning in the memory store: %w", storage.ErrFull)
	}
	s.changed(key, evicted)
	return nil
}

// Take implements [storage.Store].
func (s *Store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.ready(ctx); err != nil {
		return nil, false, err
	}
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	sh := s.shard(key)
	sh.mu.Lock()
	value, ok := sh.take(key, s.now())
	sh.mu.Unlock()
	if !ok {
		return nil, false, nil
	}
	s.changed(key, "")
	return value, true, nil
}

// CompareAndSwap implements [storage.Store].
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if err := s.ready(ctx); err != nil {
		return false, err
	}
	if err := storage.CheckWrite(key, next, lifetime); err != nil {
		return false, err
	}
	now := s.now()
	sh := s.shard(key)
	sh.mu.Lock()
	value, ok := sh.live(key, now)
	swap := ok == (old != nil) && bytes.Equal(value, old)
	var evicted string
	if swap {
		evicted = sh.add(key, next, now, now.Add(lifetime))
	}
	sh.mu.Unlock()
	if swap {
		s.changed(key, evicted)
	}
	return swap, nil
}

// Scan implements [storage.Store]. It copies one shard at a time and calls fn without
// a lock, so fn may use the store.
func (s *Store) Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	shards := s.shards
	if s.Seeks(prefix) {
		i := s.shardOf(prefix)
		shards = s.shards[i : i+1]
	}
	for i := range shards {
		if err := s.ready(ctx); err != nil {
			return err
		}
		found := shards[i].matching(prefix, s.now())
		for key, value := range found {
			if err := fn(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// Seeks implements [storage.Seeker].
func (s *Store) Seeks(prefix string) bool {
	_, ok := s.seekLength(prefix)
	return ok
}

// seekLength is the number of bytes of a key that choose its shard.
func (s *Store) seekLength(key string) (length int, ok bool) {
	for _, seek := range s.seek {
		if len(key) >= seek.length && strings.HasPrefix(key, seek.prefix) {
			return seek.length, true
		}
	}
	return len(key), false
}

// Watch implements [storage.Store].
func (s *Store) Watch(fn func(storage.Change)) (stop func()) { return s.feed.Watch(fn) }

// Identity implements [storage.Identified].
func (s *Store) Identity(string) string { return s.identity }

// AskIdentity implements [storage.Identified].
func (s *Store) AskIdentity(context.Context, string) (string, error) { return s.identity, nil }

// Close implements [storage.Store]. It drops all values.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.feed.Close()
	for i := range s.shards {
		s.shards[i].purge()
	}
	return nil
}

// Status returns the number of values.
func (s *Store) Status(context.Context) storage.Status {
	full := &storage.MemoryStatus{}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		full.Values += sh.lru.Len()
		sh.mu.Unlock()
		full.Capacity += sh.size
	}
	return storage.Status{Memory: full}
}

func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return storage.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("using the memory store: %w", err)
	}
	return nil
}

func (s *Store) shard(key string) *shard { return &s.shards[s.shardOf(key)] }

func (s *Store) shardOf(key string) int {
	length, _ := s.seekLength(key)
	return int(maphash.String(s.seed, key[:length]) & uint64(len(s.shards)-1))
}

// changed notifies the watchers of key, and of the key that was evicted for it.
func (s *Store) changed(key, evicted string) {
	if evicted != "" {
		s.feed.Send(storage.Change{Key: evicted})
	}
	s.feed.Send(storage.Change{Key: key})
}

// clone never returns nil, since an empty value is a value.
func clone(value []byte) []byte { return append([]byte{}, value...) }

var (
	_ storage.Store      = (*Store)(nil)
	_ storage.Identified = (*Store)(nil)
	_ storage.Seeker     = (*Store)(nil)
)
