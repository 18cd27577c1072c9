package feedcache

import (
	"context"
	"sync"
	"sync/atomic"
)

// Requests are the running requests, by the entry that they are attached to. They are
// independent of the LRU of a table, so eviction loses none. Functions that are
// passed to them run under a lock, and must not call them.
type Requests[K comparable, R any] struct {
	ended  error
	shard  func(K) uint8
	links  sync.Pool
	shards [shards]requestShard[K, R]
}

type requestShard[K comparable, R any] struct {
	mu    sync.Mutex
	heads map[K]*link[K, R]
	_     [48]byte // keeps neighbours off this cache line
}

// A link is a request in the list of its entry. Links are reused: ticket
// distinguishes the uses of a link. That saves one of four allocations, and 96 of 240
// bytes (BenchmarkAttach of package session).
type link[K comparable, R any] struct {
	next, prev *link[K, R]
	key        K
	request    R
	cancel     context.CancelCauseFunc
	ticket     atomic.Uint64
}

// NewRequests returns none. Their contexts end with cause ended.
func NewRequests[K comparable, R any](shard func(K) uint8, ended error) *Requests[K, R] {
	r := &Requests[K, R]{ended: ended, shard: shard}
	r.links.New = func() any { return new(link[K, R]) }
	for i := range r.shards {
		r.shards[i].heads = make(map[K]*link[K, R])
	}
	return r
}

func (r *Requests[K, R]) of(k K) *requestShard[K, R] { return &r.shards[r.shard(k)%shards] }

// Attach attaches a request, whose context cancel ends, to an entry.
func (r *Requests[K, R]) Attach(k K, request R, cancel context.CancelCauseFunc) Attachment[K, R] {
	l := r.links.Get().(*link[K, R])
	l.key, l.request, l.cancel = k, request, cancel
	s := r.of(k)
	a := Attachment[K, R]{&r.links, s, l, l.ticket.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.next = s.heads[k]; l.next != nil {
		l.next.prev = l
	}
	s.heads[k] = l
	return a
}

// An Attachment ties a request to an entry until Release, or until the entry ends.
type Attachment[K comparable, R any] struct {
	links  *sync.Pool
	shard  *requestShard[K, R]
	link   *link[K, R]
	ticket uint64
}

// Release removes the request, unless the end of its entry has already done so.
func (a Attachment[K, R]) Release() {
	a.shard.mu.Lock()
	mine := a.link.ticket.Load() == a.ticket
	if mine {
		a.shard.unlink(a.link)
	}
	a.shard.mu.Unlock()
	if mine {
		a.links.Put(a.link)
	}
}

func (s *requestShard[K, R]) unlink(l *link[K, R]) {
	if l.next != nil {
		l.next.prev = l.prev
	}
	switch {
	case l.prev != nil:
		l.prev.next = l.next
	case l.next != nil:
		s.heads[l.key] = l.next
	default:
		delete(s.heads, l.key)
	}
	l.ticket.Add(1)
	var noKey K
	var nothing R
	l.next, l.prev, l.key, l.request, l.cancel = nil, nil, noKey, nothing, nil
}

// Has reports whether an entry has requests.
func (r *Requests[K, R]) Has(k K) bool {
	s := r.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heads[k] != nil
}

// Each calls fn for the requests of an entry.
func (r *Requests[K, R]) Each(k K, fn func(*R)) {
	s := r.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := s.heads[k]; l != nil; l = l.next {
		fn(&l.request)
	}
}

// Keys returns the entries that have a request which matches.
func (r *Requests[K, R]) Keys(match func(*R) bool) (keys []K) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for k, l := range s.heads {
			for l != nil && !match(&l.request) {
				l = l.next
			}
			if l != nil {
				keys = append(keys, k)
			}
		}
		s.mu.Unlock()
	}
	return keys
}

// Any matches every request.
func Any[R any](*R) bool { return true }

// End ends the requests of an entry.
func (r *Requests[K, R]) End(k K) { r.EndIf(k, Any[R]) }

// EndIf ends the requests of an entry that match.
func (r *Requests[K, R]) EndIf(k K, match func(*R) bool) {
	s := r.of(k)
	s.mu.Lock()
	over := s.take(k, match, nil)
	s.mu.Unlock()
	r.end(over)
}

// EndAll ends the requests of all entries that match.
func (r *Requests[K, R]) EndAll(match func(*R) bool) {
	for i := range r.shards {
		s := &r.shards[i]
		var over []context.CancelCauseFunc
		s.mu.Lock()
		for k := range s.heads {
			over = s.take(k, match, over)
		}
		s.mu.Unlock()
		r.end(over)
	}
}

// take removes the requests of an entry that match, and adds their cancel functions.
func (s *requestShard[K, R]) take(k K, match func(*R) bool, over []context.CancelCauseFunc) []context.CancelCauseFunc {
	for l := s.heads[k]; l != nil; {
		next := l.next
		if match(&l.request) {
			over = append(over, l.cancel)
			s.unlink(l)
		}
		l = next
	}
	return over
}

func (r *Requests[K, R]) end(over []context.CancelCauseFunc) {
	for _, cancel := range over {
		cancel(r.ended)
	}
}
