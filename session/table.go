package session

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

const shards = 64

// short is as much of a key as the maps need to tell keys apart. Whoever looks
// something up compares the rest.
type short [16]byte

// held is a cached value and the feed's epoch in which it was read.
type held[T any] struct {
	value *T
	epoch uint64
}

// A table is a sharded LRU that takes in only what is still true. Its hits
// take nothing but the LRU's own lock.
type table[T any] struct {
	shards [shards]tableShard[T]
}

type tableShard[T any] struct {
	lru *lru.Cache[short, held[T]]

	mu         sync.Mutex
	generation uint64   // counts what was heard of any key of this shard
	_          [40]byte // keeps neighbours off this cache line
}

func newTable[T any](capacity int) *table[T] {
	t := new(table[T])
	for i := range t.shards {
		// The only error is that of a size below one.
		t.shards[i].lru, _ = lru.New[short, held[T]]((max(capacity, 1) + shards - 1) / shards)
	}
	return t
}

func (t *table[T]) shard(k *Key) *tableShard[T] { return &t.shards[k[0]%shards] }

func (t *table[T]) get(k *Key) (held[T], bool) { return t.shard(k).lru.Get(short(k[:16])) }

// peek is get without a use.
func (t *table[T]) peek(k *Key) (held[T], bool) { return t.shard(k).lru.Peek(short(k[:16])) }

// generation is taken before a read from the store, and handed to fill after.
func (t *table[T]) generation(k *Key) uint64 {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

// fill takes v in unless something was heard of its key since generation.
// Later epochs need no look here: v carries the one in which it was read.
func (t *table[T]) fill(k *Key, generation uint64, v held[T]) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.lru.Add(short(k[:16]), v)
	}
}

// drop forgets what is under k, and keeps reads under way from bringing it
// back.
func (t *table[T]) drop(k *Key) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.lru.Remove(short(k[:16]))
}

// find returns the first value that matches, of those whose key begins with a byte.
// It is no use of it.
func (t *table[T]) find(first byte, match func(*T) bool) *T {
	s := &t.shards[first%shards]
	for _, key := range s.lru.Keys() {
		if held, ok := s.lru.Peek(key); ok && match(held.value) {
			return held.value
		}
	}
	return nil
}
