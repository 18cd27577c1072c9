package session

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// recheckers bounds how many goroutines ask the store at once.
	recheckers = 8

	recheckTimeout = 5 * time.Second
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 2 * time.Second
)

// rechecks are the sessions of live requests that are to be read again, each
// once, however often that was asked for. Nothing here waits for the store but
// the workers, which come and go with the work.
type rechecks struct {
	ctx   context.Context
	cache *Cache

	mu      sync.Mutex
	tasks   map[Key]*recheck
	queue   []Key
	all     int64 // if not 0, all are to be queued: unverified since then
	workers int
	backoff time.Duration
	closed  bool
	running sync.WaitGroup
}

// recheck is one session's.
type recheck struct {
	since   int64 // unverified since then; 0 if it only is to be extended
	running bool
	again   bool  // asked for again while running,
	later   int64 // unverified since then
}

func newRechecks(ctx context.Context, c *Cache) *rechecks {
	return &rechecks{ctx: ctx, cache: c, tasks: make(map[Key]*recheck)}
}

// close waits for the workers. Their context must have ended.
func (r *rechecks) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.running.Wait()
}

// earlier returns the earlier of two times of which 0 means never.
func earlier(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// add asks for a session to be read again, which is unverified since then; 0
// asks for an extension only.
func (r *rechecks) add(k Key, since int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	task, ok := r.tasks[k]
	switch {
	case !ok:
		r.tasks[k] = &recheck{since: since}
		r.queue = append(r.queue, k)
	case task.running:
		task.again = true
		task.later = earlier(task.later, since)
	default:
		task.since = earlier(task.since, since)
	}
	r.work()
}

// addAll asks for all sessions that have live requests.
func (r *rechecks) addAll(since int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = earlier(r.all, since)
	r.work()
}

// work sees that there is a worker; r.mu must be held.
func (r *rechecks) work() {
	if r.closed || r.workers == recheckers {
		return
	}
	r.workers++
	r.running.Go(r.worker)
}

func (r *rechecks) worker() {
	for {
		k, ok := r.next()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(r.ctx, recheckTimeout)
		err := r.cache.recheck(ctx, &k)
		cancel()
		pause := r.done(k, err)
		if pause == 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next takes a session from the queue. Without one, the worker is over.
func (r *rechecks) next() (Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.all != 0 && r.ctx.Err() == nil {
		since := r.all
		r.all = 0
		r.mu.Unlock()
		keys := r.cache.live.keys(func(*live) bool { return true })
		for _, k := range keys {
			r.add(k, since)
		}
		r.mu.Lock()
	}
	if len(r.queue) == 0 || r.ctx.Err() != nil {
		r.workers--
		return Key{}, false
	}
	k := r.queue[0]
	r.queue = r.queue[1:]
	r.tasks[k].running = true
	return k, true
}

// done notes the outcome, and says how long to wait before asking again.
func (r *rechecks) done(k Key, err error) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	task := r.tasks[k]
	switch {
	case err != nil:
		task.since = earlier(task.since, task.later)
		r.backoff = min(max(2*r.backoff, firstBackoff), longestBackoff)
	case task.again:
		task.since = task.later
		r.backoff = 0
	default:
		delete(r.tasks, k)
		r.backoff = 0
		return 0
	}
	task.running, task.again, task.later = false, false, 0
	r.queue = append(r.queue, k)
	return r.backoff
}

// unverified calls fn for every session that waits for a store that does not
// answer. While it does, those that wait are simply not read yet.
func (r *rechecks) unverified(fn func(k Key, since int64)) {
	type waiting struct {
		k     Key
		since int64
	}
	var all []waiting
	r.mu.Lock()
	if r.backoff != 0 {
		for k, task := range r.tasks {
			if since := earlier(task.since, task.later); since != 0 {
				all = append(all, waiting{k, since})
			}
		}
	}
	r.mu.Unlock()
	for _, w := range all {
		fn(w.k, w.since)
	}
}

// recheck reads a session that has live requests, ends those if it is gone,
// and extends it if that is due. An error means that it is to be tried again.
func (c *Cache) recheck(ctx context.Context, k *Key) error {
	owner := c.live.strictest(k)
	if owner == nil {
		return nil
	}
	found, value, err := c.load(ctx, k)
	if errors.Is(err, ErrNone) {
		c.gone(k)
		return nil
	}
	if err != nil {
		return err
	}
	if now := c.now(); owner.due(found, now) {
		if err := owner.extend(ctx, found, value, now); err != nil {
			return err
		}
	}
	c.live.touched(k, found)
	return nil
}

func (c *Cache) sweepUntil(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.sweep()
		}
	}
}

// sweep looks at the live requests: it ends those whose session is past its
// absolute end, or was unverified for longer than their grace, and sees that
// the others' sessions are extended.
func (c *Cache) sweep() {
	now := c.now()
	over := func(l *live) bool { return l.over(now) }
	for _, k := range c.live.keys(over) {
		c.live.endIf(&k, over)
	}
	c.rechecks.unverified(func(k Key, since int64) {
		c.live.endIf(&k, func(l *live) bool { return !l.owner.terms.withinGrace(since, now) })
	})
	for _, k := range c.live.keys(func(l *live) bool { return now >= l.touch }) {
		c.rechecks.add(k, 0)
	}
}
