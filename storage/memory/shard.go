package memory

import (
	"container/heap"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A shard is an LRU that also knows which of its values expires first. Expired values
// are removed before live ones are evicted. Pinned values are kept beside the LRU.
type shard struct {
	mu       sync.Mutex
	size     int // capacity of the LRU, and of the pinned values
	lru      *simplelru.LRU[string, *entry]
	pinned   map[string]*entry
	byExpiry byExpiry // of both kinds
}

type entry struct {
	key     string
	value   []byte
	expires int64 // Unix milliseconds
	at      int   // in byExpiry
}

func (e *entry) expired(now time.Time) bool { return now.UnixMilli() >= e.expires }

func (sh *shard) init(size int) {
	lru, err := simplelru.NewLRU[string, *entry](size, nil)
	if err != nil {
		panic(err) // only a size that is not positive, which New rules out
	}
	sh.size, sh.lru, sh.pinned = size, lru, make(map[string]*entry)
}

// find returns the value under key, even an expired one, and marks it as used.
func (sh *shard) find(key string) (*entry, bool) {
	e, ok := sh.lru.Get(key)
	if !ok {
		e, ok = sh.pinned[key]
	}
	return e, ok
}

// live returns the value under key. The slice belongs to the store.
func (sh *shard) live(key string, now time.Time) ([]byte, bool) {
	e, ok := sh.find(key)
	if !ok {
		return nil, false
	}
	if e.expired(now) {
		sh.remove(e)
		return nil, false
	}
	return e.value, true
}

// add stores a copy of value and returns the evicted key, if any. The LRU would evict
// by itself, but does not tell which key.
func (sh *shard) add(key string, value []byte, now, expires time.Time) (evicted string) {
	sh.expire(now)
	if e, ok := sh.find(key); ok {
		sh.replace(e, value, expires)
		return ""
	}
	if sh.lru.Len() >= sh.size {
		if _, oldest, ok := sh.lru.GetOldest(); ok {
			evicted = oldest.key
			sh.remove(oldest)
		}
	}
	e := &entry{key: key, value: clone(value), expires: expires.UnixMilli()}
	sh.lru.Add(key, e)
	heap.Push(&sh.byExpiry, e)
	return evicted
}

// pin is add for a pinned value. It returns false if there is no room.
func (sh *shard) pin(key string, value []byte, now, expires time.Time) bool {
	sh.expire(now)
	e, ok := sh.pinned[key]
	if ok {
		sh.replace(e, value, expires)
		return true
	}
	for len(sh.pinned) >= sh.size {
		if !sh.byExpiry[0].expired(now) {
			return false
		}
		sh.remove(sh.byExpiry[0])
	}
	if e, ok = sh.lru.Peek(key); ok {
		sh.remove(e)
	}
	e = &entry{key: key, value: clone(value), expires: expires.UnixMilli()}
	sh.pinned[key] = e
	heap.Push(&sh.byExpiry, e)
	return true
}

// expire removes up to two expired values. Each write calls it, so values are removed
// faster than they come, and no write waits for many removals.
func (sh *shard) expire(now time.Time) {
	for range 2 {
		if len(sh.byExpiry) > 0 && sh.byExpiry[0].expired(now) {
			sh.remove(sh.byExpiry[0])
		}
	}
}

func (sh *shard) replace(e *entry, value []byte, expires time.Time) {
	e.value, e.expires = clone(value), expires.UnixMilli()
	heap.Fix(&sh.byExpiry, e.at)
}

func (sh *shard) remove(e *entry) {
	if !sh.lru.Remove(e.key) {
		delete(sh.pinned, e.key)
	}
	heap.Remove(&sh.byExpiry, e.at)
}

func (sh *shard) take(key string, now time.Time) ([]byte, bool) {
	value, ok := sh.live(key, now)
	if e, there := sh.find(key); ok && there {
		sh.remove(e)
	}
	return value, ok
}

func (sh *shard) purge() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.lru.Purge()
	clear(sh.pinned)
	sh.byExpiry = nil
}

func (sh *shard) matching(prefix string, now time.Time) map[string][]byte {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	found := make(map[string][]byte)
	for _, e := range sh.byExpiry {
		if strings.HasPrefix(e.key, prefix) && !e.expired(now) {
			found[e.key] = clone(e.value)
		}
	}
	return found
}

// byExpiry implements container/heap.Interface.
type byExpiry []*entry

func (h byExpiry) Len() int           { return len(h) }
func (h byExpiry) Less(i, j int) bool { return h[i].expires < h[j].expires }

func (h byExpiry) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *byExpiry) Push(e any) {
	e.(*entry).at = len(*h)
	*h = append(*h, e.(*entry))
}

func (h *byExpiry) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
