package oauth

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	recheckTimeout = 5 * time.Second
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 2 * time.Second
)

// grantRechecks are the grants of live requests that are to be read again. One
// goroutine at a time does it, which comes and goes with the work.
type grantRechecks struct {
	ctx   context.Context
	stop  context.CancelFunc
	cache *VerifiedCache

	mu      sync.Mutex
	pending map[string]time.Time // unverified since then
	working bool
	closed  bool
	running sync.WaitGroup
}

func newGrantRechecks(c *VerifiedCache) *grantRechecks {
	ctx, stop := context.WithCancel(context.Background())
	return &grantRechecks{ctx: ctx, stop: stop, cache: c, pending: make(map[string]time.Time)}
}

func (r *grantRechecks) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.running.Wait()
}

// add asks for a grant to be read again, which is unverified since then.
func (r *grantRechecks) add(id string, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if before, ok := r.pending[id]; !ok || since.Before(before) {
		r.pending[id] = since
	}
	if !r.working {
		r.working = true
		r.running.Go(r.work)
	}
}

func (r *grantRechecks) work() {
	backoff := time.Duration(0)
	for {
		id, since, ok := r.next()
		if !ok {
			return
		}
		if r.recheck(id) == nil {
			backoff = 0
			continue
		}
		r.add(id, since)
		r.endUnverified()
		backoff = min(max(2*backoff, firstBackoff), longestBackoff)
		timer := time.NewTimer(backoff)
		select {
		case <-r.ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next takes a grant out. Without one, the work is over.
func (r *grantRechecks) next() (string, time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil {
		for id, since := range r.pending {
			delete(r.pending, id)
			return id, since, true
		}
	}
	r.working = false
	return "", time.Time{}, false
}

// recheck reads a grant that has live requests, and ends those if it has ended.
// An error means that it is to be tried again.
func (r *grantRechecks) recheck(id string) error {
	live, offline := r.cache.live.has(id)
	if !live {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, recheckTimeout)
	defer cancel()
	known, err := r.cache.read(ctx, id, offline)
	if err != nil {
		return err
	}
	if known.over() {
		r.cache.live.end(id)
	}
	return nil
}

// endUnverified ends the requests that were unverified for longer than their
// grace, while the store does not answer.
func (r *grantRechecks) endUnverified() {
	r.mu.Lock()
	waiting := maps.Clone(r.pending)
	r.mu.Unlock()
	for id, since := range waiting {
		r.cache.live.endIf(id, func(l *liveGrant) bool { return !l.sessions.WithinGrace(since) })
	}
}
