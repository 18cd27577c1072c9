package oauth

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/records"
)

const (
	recheckTimeout = 5 * time.Second
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 500 * time.Millisecond
)

// grantRechecks are the grants that are to be read again: those of live requests,
// and those that were used while the store did not answer. One goroutine at a
// time does it, which comes and goes with the work.
type grantRechecks struct {
	ctx   context.Context
	stop  context.CancelFunc
	cache *VerifiedCache

	mu      sync.Mutex
	pending map[string]grantRecheck
	working bool
	silent  atomic.Bool   // the store did not answer when it was last asked
	wake    chan struct{} // closed when the store may be back
	closed  bool
	running sync.WaitGroup
}

// A grantRecheck is what is known of a grant that is to be read again.
type grantRecheck struct {
	since   time.Time // unverified since then
	failed  bool      // the store did not answer
	offline bool      // it is looked for among those with scope offline, too
	asked   int       // how often that was asked for
}

func newGrantRechecks(c *VerifiedCache) *grantRechecks {
	ctx, stop := context.WithCancel(context.Background())
	return &grantRechecks{ctx: ctx, stop: stop, cache: c, pending: make(map[string]grantRecheck), wake: make(chan struct{})}
}

func (r *grantRechecks) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.running.Wait()
}

// add asks for a grant to be read again, which is unverified since then.
func (r *grantRechecks) add(id string, since time.Time) { r.addAs(id, grantRecheck{since: since}) }

// unanswered asks for a grant to be read until the store answers, which did not
// when a request asked.
func (r *grantRechecks) unanswered(id string, since time.Time, offline bool) {
	r.silent.Store(true)
	r.addAs(id, grantRecheck{since: since, failed: true, offline: offline})
}

func (r *grantRechecks) addAs(id string, task grantRecheck) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if before, ok := r.pending[id]; ok {
		if before.since.Before(task.since) {
			task.since = before.since
		}
		task.failed, task.offline = task.failed || before.failed, task.offline || before.offline
		task.asked = before.asked
	}
	task.asked++
	r.pending[id] = task
	if !r.working {
		r.working = true
		r.running.Go(r.work)
	}
}

// unneeded says that a request need not ask for a grant, since the store is
// silent, and sees that the grant is read once it answers.
func (r *grantRechecks) unneeded(id string, since time.Time, offline bool) bool {
	if !r.silent.Load() {
		return false
	}
	r.unanswered(id, since, offline)
	return true
}

// hurry asks at once for all that waits for the store.
func (r *grantRechecks) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.wake)
	r.wake = make(chan struct{})
}

func (r *grantRechecks) work() {
	backoff := time.Duration(0)
	for {
		id, task, wake, ok := r.next()
		if !ok {
			return
		}
		if r.recheck(id, task) == nil {
			r.silent.Store(false)
			r.done(id, task)
			backoff = 0
			continue
		}
		r.unanswered(id, task.since, task.offline)
		r.endUnverified()
		backoff = min(max(2*backoff, firstBackoff), longestBackoff)
		timer := time.NewTimer(backoff)
		select {
		case <-r.ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next returns a grant that is to be read. Without one, the work is over.
func (r *grantRechecks) next() (id string, task grantRecheck, wake <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil {
		for id, task := range r.pending {
			return id, task, r.wake, true
		}
	}
	r.working = false
	return "", grantRecheck{}, nil, false
}

// done takes a grant out, unless it was asked for again meanwhile.
func (r *grantRechecks) done(id string, task grantRecheck) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[id] == task {
		delete(r.pending, id)
	}
}

// recheck reads a grant, and ends its live requests if it has ended. Nothing is
// read that has no live request, and was not used. An error means that it is to
// be tried again.
func (r *grantRechecks) recheck(id string, task grantRecheck) error {
	live, offline := r.cache.live.has(id)
	if !live && !task.failed {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, recheckTimeout)
	defer cancel()
	known, err := r.cache.read(ctx, id, offline || task.offline)
	if errors.Is(err, records.ErrVersion) {
		return nil // it is there, and this release cannot tell more
	}
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
	for id, task := range waiting {
		r.cache.live.endIf(id, func(l *liveGrant) bool { return !l.sessions.WithinGrace(task.since) })
	}
}
