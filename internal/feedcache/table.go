package feedcache

import (
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

const shards = 64

// Epochs are the times between interruptions of the feed.
type Epochs struct {
	now     func() int64
	current atomic.Pointer[epoch]
	ending  sync.Mutex // of interruptions at once each ends one: something may have been read in it
}

type epoch struct{ lost atomic.Int64 } // when it ended; 0: it goes on

// end ends the epoch, and returns the time.
func (e *Epochs) end() int64 {
	e.ending.Lock()
	defer e.ending.Unlock()
	now := max(e.now(), 1)
	e.current.Load().lost.Store(now)
	e.current.Store(new(epoch))
	return now
}

// An Entry is a value and the epoch in which it was read.
type Entry[V any] struct {
	Value *V
	epoch *epoch
}

// Lost returns since when the value is unverified; 0: it is verified.
func (e Entry[V]) Lost() int64 { return e.epoch.lost.Load() }

// A Table is a sharded LRU that stores only values that are still valid.
type Table[K comparable, V any] struct {
	epochs *Epochs
	shard  func(K) uint8
	shards [shards]tableShard[K, V]
}

type tableShard[K comparable, V any] struct {
	lru *lru.Cache[K, Entry[V]]

	mu         sync.Mutex
	generation uint64   // counts what was heard of any key of this shard
	_          [40]byte // keeps neighbours off this cache line
}

// NewTable returns a table for about so many values.
func NewTable[K comparable, V any](epochs *Epochs, capacity int, shard func(K) uint8) *Table[K, V] {
	t := &Table[K, V]{epochs: epochs, shard: shard}
	for i := range t.shards {
		// The only error is that of a size below one.
		t.shards[i].lru, _ = lru.New[K, Entry[V]]((max(capacity, 1) + shards - 1) / shards)
	}
	return t
}

func (t *Table[K, V]) of(k K) *tableShard[K, V] { return &t.shards[t.shard(k)%shards] }

// Get returns the known entry.
func (t *Table[K, V]) Get(k K) (Entry[V], bool) { return t.of(k).lru.Get(k) }

// GetIn is Get for a caller that knows the shard, on the hottest path.
func (t *Table[K, V]) GetIn(shard uint8, k K) (Entry[V], bool) {
	return t.shards[shard%shards].lru.Get(k)
}

// Peek is Get without a use.
func (t *Table[K, V]) Peek(k K) (Entry[V], bool) { return t.of(k).lru.Peek(k) }

// Since returns since when a value is unverified: since now, if it is not known; 0: it is
// verified.
func (t *Table[K, V]) Since(k K) int64 {
	if e, ok := t.Peek(k); ok {
		return e.Lost()
	}
	return max(t.epochs.now(), 1)
}

// Load keeps what read returns, unless the feed told of a change since the read began. If
// the feed was interrupted since, the value is unverified.
func (t *Table[K, V]) Load(k K, read func() (*V, error)) (*V, error) {
	s := t.of(k)
	s.mu.Lock()
	generation := s.generation
	s.mu.Unlock()
	e := Entry[V]{epoch: t.epochs.current.Load()}
	var err error
	if e.Value, err = read(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.lru.Add(k, e)
	}
	return e.Value, nil
}

// Put keeps a value that no change in the store concerns.
func (t *Table[K, V]) Put(k K, v *V) { t.of(k).lru.Add(k, Entry[V]{Value: v}) }

// Drop forgets a value that has changed. Reads that began before do not store it again.
func (t *Table[K, V]) Drop(k K) {
	s := t.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.lru.Remove(k)
}

// Forget forgets a value that a read did not find. Unlike Drop it lets the other
// running reads store their values. So unknown keys, which every client can send,
// keep no value out of the table.
func (t *Table[K, V]) Forget(k K) { t.of(k).lru.Remove(k) }

// Find returns the first value of a shard that matches. It does not count as a use.
func (t *Table[K, V]) Find(shard uint8, match func(*V) bool) *V {
	s := &t.shards[shard%shards]
	for _, k := range s.lru.Keys() {
		if e, ok := s.lru.Peek(k); ok && match(e.Value) {
			return e.Value
		}
	}
	return nil
}

// Len returns how many values there are.
func (t *Table[K, V]) Len() (n int) {
	for i := range t.shards {
		n += t.shards[i].lru.Len()
	}
	return n
}
