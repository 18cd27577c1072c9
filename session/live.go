package session

import (
	"context"
	"sync"
	"sync/atomic"
)

// Attach ties a request to its session: the returned context ends, with cause
// [ErrEnded], when the session does. It may have been signed out here or on
// another node, ended by an administrator, or come to its absolute end. An
// attached request keeps its session from idling out.
//
// The caller must call release when the request is over.
func (s *Sessions) Attach(ctx context.Context, sess *Session) (attached context.Context, release func()) {
	c := s.cache
	attached, cancel := context.WithCancelCause(ctx)
	l, ticket := c.live.add(s, sess, cancel)

	// What ended between the check and now has ended unheard. Whatever ends
	// from here on finds the request in the registry.
	cached, ok := c.sessions.peek(&sess.key)
	switch {
	case !ok:
		c.rechecks.Add(entry{key: sess.key}, c.now())
	case cached.epoch != c.epoch.Load():
		c.rechecks.Add(entry{key: sess.key}, c.lostAt(cached.epoch))
	}
	return attached, func() {
		c.live.remove(&sess.key, l, ticket)
		cancel(nil)
	}
}

// live is a request under way, a link in the list of its session's requests.
// Links are used again: ticket tells a link's uses apart.
type live struct {
	next, prev *live
	owner      *Sessions // the policy it came with
	session    *Session
	cancel     context.CancelCauseFunc
	touch      int64 // when the session's use is to be written down again
	ticket     atomic.Uint64
}

// over says whether the request's session has come to its absolute end.
func (l *live) over(now int64) bool {
	return now >= l.owner.terms.end(l.session.begun, l.session.expires)
}

// registry knows all live requests by session. It has nothing to do with the
// LRU, so eviction loses none.
type registry struct {
	links  sync.Pool
	shards [shards]registryShard
}

type registryShard struct {
	mu    sync.Mutex
	heads map[Key]*live
	_     [48]byte // keeps neighbours off this cache line
}

func newRegistry() *registry {
	r := &registry{links: sync.Pool{New: func() any { return new(live) }}}
	for i := range r.shards {
		r.shards[i].heads = make(map[Key]*live)
	}
	return r
}

func (r *registry) shard(k *Key) *registryShard { return &r.shards[k[0]%shards] }

func (r *registry) add(owner *Sessions, s *Session, cancel context.CancelCauseFunc) (*live, uint64) {
	l := r.links.Get().(*live)
	ticket := l.ticket.Load()
	l.owner, l.session, l.cancel = owner, s, cancel
	l.touch = s.seen.Load() + owner.terms.everyOf(s)
	sh := r.shard(&s.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if head := sh.heads[s.key]; head != nil {
		l.next, head.prev = head, l
	}
	sh.heads[s.key] = l
	return l, ticket
}

// remove takes a request out, unless its session's end has done so already.
func (r *registry) remove(k *Key, l *live, ticket uint64) {
	sh := r.shard(k)
	sh.mu.Lock()
	mine := l.ticket.Load() == ticket
	if mine {
		sh.unlink(k, l)
	}
	sh.mu.Unlock()
	if mine {
		r.links.Put(l)
	}
}

// unlink takes l, which must be in the list of k, out of it.
func (sh *registryShard) unlink(k *Key, l *live) {
	if l.next != nil {
		l.next.prev = l.prev
	}
	switch {
	case l.prev != nil:
		l.prev.next = l.next
	case l.next != nil:
		sh.heads[*k] = l.next
	default:
		delete(sh.heads, *k)
	}
	l.ticket.Add(1)
	l.next, l.prev, l.owner, l.session, l.cancel = nil, nil, nil, nil, nil
}

func (r *registry) has(k *Key) bool {
	sh := r.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.heads[*k] != nil
}

// end ends all requests of a session.
func (r *registry) end(k *Key) { r.endIf(k, func(*live) bool { return true }) }

// endIf ends the requests of a session that match.
func (r *registry) endIf(k *Key, match func(*live) bool) {
	var cancels []context.CancelCauseFunc
	sh := r.shard(k)
	sh.mu.Lock()
	for l := sh.heads[*k]; l != nil; {
		next := l.next
		if match(l) {
			cancels = append(cancels, l.cancel)
			sh.unlink(k, l)
		}
		l = next
	}
	sh.mu.Unlock()
	for _, cancel := range cancels {
		cancel(ErrEnded)
	}
}

// strictest returns the policy with the shortest idle time among a session's
// requests, or nil if it has none.
func (r *registry) strictest(k *Key) (owner *Sessions) {
	sh := r.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for l := sh.heads[*k]; l != nil; l = l.next {
		if owner == nil || l.owner.terms.idle < owner.terms.idle {
			owner = l.owner
		}
	}
	return owner
}

// touched notes when the session was last used, as stored.
func (r *registry) touched(k *Key, s *Session) {
	sh := r.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for l := sh.heads[*k]; l != nil; l = l.next {
		l.touch = s.seen.Load() + l.owner.terms.everyOf(s)
	}
}

// postpone says when a session's use is to be written down that could not be.
func (r *registry) postpone(k *Key, until int64) {
	sh := r.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for l := sh.heads[*k]; l != nil; l = l.next {
		l.touch = until
	}
}

// keys returns the sessions that have requests of which one matches.
func (r *registry) keys(match func(*live) bool) []Key {
	var keys []Key
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		for k, head := range sh.heads {
			for l := head; l != nil; l = l.next {
				if match(l) {
					keys = append(keys, k)
					break
				}
			}
		}
		sh.mu.Unlock()
	}
	return keys
}
