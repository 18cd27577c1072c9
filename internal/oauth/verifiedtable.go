package oauth

import (
	"hash/maphash"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

const tableShards = 64

// A table is a sharded LRU that takes in only what is still true. Its hits take
// nothing but one shard's lock.
type table[K comparable, V any] struct {
	seed   maphash.Seed
	shards [tableShards]tableShard[K, V]
}

type tableShard[K comparable, V any] struct {
	lru *lru.Cache[K, *V]

	mu         sync.Mutex
	generation uint64   // counts what was heard of any key of this shard
	_          [40]byte // keeps neighbours off this cache line
}

func newTable[K comparable, V any](capacity int) *table[K, V] {
	t := &table[K, V]{seed: maphash.MakeSeed()}
	for i := range t.shards {
		// The only error is that of a size below one.
		t.shards[i].lru, _ = lru.New[K, *V]((max(capacity, 1) + tableShards - 1) / tableShards)
	}
	return t
}

func (t *table[K, V]) shard(k K) *tableShard[K, V] {
	return &t.shards[maphash.Comparable(t.seed, k)%tableShards]
}

func (t *table[K, V]) get(k K) (*V, bool) { return t.shard(k).lru.Get(k) }

// put takes v in, whatever was heard.
func (t *table[K, V]) put(k K, v *V) { t.shard(k).lru.Add(k, v) }

// generation is taken before a read from the store, and handed to fill after.
func (t *table[K, V]) generation(k K) uint64 {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

// fill takes v in unless something was heard of its key since generation.
func (t *table[K, V]) fill(k K, generation uint64, v *V) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.lru.Add(k, v)
	}
}

// drop forgets what is under k, and keeps reads under way from bringing it
// back.
func (t *table[K, V]) drop(k K) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.lru.Remove(k)
}
