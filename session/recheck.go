package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-sso/caddy-sso/records"
	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	// recheckers bounds how many goroutines ask the store at once.
	recheckers = 16

	recheckTimeout = 5 * time.Second
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 500 * time.Millisecond
)

// rechecks are the sessions and site sessions that are to be read again, each
// once, however often that was asked for: those of live requests, and those that
// were used while the store did not answer. Nothing here waits for the store but
// the workers, which come and go with the work.
type rechecks struct {
	ctx   context.Context
	cache *Cache

	mu      sync.Mutex
	tasks   map[entry]*recheck
	queue   []entry
	all     int64 // if not 0, those of all live requests are to be queued: unverified since then
	workers int
	backoff time.Duration // 0: the store answered when it was last asked
	away    bool          // it did not answer although it had its own time to
	wake    chan struct{} // closed when the store may be back
	closed  bool
	running sync.WaitGroup
}

// An entry names what a cache holds: a session, or a site session.
type entry struct {
	key  Key
	site bool
}

// recheck is one entry's.
type recheck struct {
	since   int64 // unverified since then; 0 if it only is to be extended
	failed  bool  // the store did not answer
	running bool
	again   bool  // asked for again while running,
	later   int64 // unverified since then
}

func newRechecks(ctx context.Context, c *Cache) *rechecks {
	return &rechecks{ctx: ctx, cache: c, tasks: make(map[entry]*recheck), wake: make(chan struct{})}
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
	r.addTask(entry{key: k}, since)
}

// unanswered asks for an entry to be read until the store answers, which did not
// when a request asked.
func (r *rechecks) unanswered(e entry, since int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backoff = max(r.backoff, firstBackoff)
	r.addTask(e, since)
	r.tasks[e].failed = true
}

// noticed notes that the store did not answer a request for what is not known
// here, which left it its own time. Until it does, it is asked for an entry that
// nobody has.
func (r *rechecks) noticed(ctx context.Context, err error, now int64) {
	if answered(err) || !errors.Is(err, storage.ErrUnavailable) || ctx.Err() != nil {
		return
	}
	r.unanswered(entry{}, now)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = true
}

// unneeded says that a request need not ask for an entry, since the store is
// silent, and sees that the entry is read once it answers.
func (r *rechecks) unneeded(e entry, since int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	task, ok := r.tasks[e]
	if ok && task.failed {
		return true
	}
	if r.backoff == 0 {
		return false
	}
	r.addTask(e, since)
	r.tasks[e].failed = true
	return true
}

// addTask adds to the tasks; r.mu must be held.
func (r *rechecks) addTask(e entry, since int64) {
	task, ok := r.tasks[e]
	switch {
	case !ok:
		r.tasks[e] = &recheck{since: since}
		r.queue = append(r.queue, e)
	case task.running:
		task.again = true
		task.later = earlier(task.later, since)
	default:
		task.since = earlier(task.since, since)
	}
	r.work()
}

// silent says whether the store did not answer when it was last left its own
// time. One that is slow is not silent: it may take longer than a request waits
// for what is known anyway.
func (r *rechecks) silent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

// addAll asks for all sessions that have live requests, and for all that waits
// for the store at once.
func (r *rechecks) addAll(since int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = earlier(r.all, since)
	close(r.wake)
	r.wake = make(chan struct{})
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
		e, used, ok := r.next()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(r.ctx, recheckTimeout)
		err := r.cache.recheck(ctx, e, used)
		cancel()
		pause, wake := r.done(e, err)
		if pause == 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next takes an entry from the queue, and says whether a request has used it
// while the store did not answer. Without one, the worker is over.
func (r *rechecks) next() (e entry, used, ok bool) {
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
		return entry{}, false, false
	}
	e = r.queue[0]
	r.queue = r.queue[1:]
	r.tasks[e].running = true
	return e, r.tasks[e].failed, true
}

// done notes the outcome, and says how long to wait before asking again, unless
// wake is closed before.
func (r *rechecks) done(e entry, err error) (pause time.Duration, wake <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	task := r.tasks[e]
	switch {
	case err != nil:
		task.since = earlier(task.since, task.later)
		task.failed = true
		r.backoff, r.away = min(max(2*r.backoff, firstBackoff), longestBackoff), true
	case task.again:
		task.since, task.failed = task.later, false
		r.backoff, r.away = 0, false
	default:
		delete(r.tasks, e)
		r.backoff, r.away = 0, false
		return 0, nil
	}
	task.running, task.again, task.later = false, false, 0
	r.queue = append(r.queue, e)
	return r.backoff, r.wake
}

// unverified calls fn for every session that waits for a store that does not
// answer. While the store answers, those that wait are simply not read yet.
func (r *rechecks) unverified(fn func(k Key, since int64)) {
	type waiting struct {
		k     Key
		since int64
	}
	var all []waiting
	r.mu.Lock()
	if r.backoff != 0 {
		for e, task := range r.tasks {
			if since := earlier(task.since, task.later); since != 0 && !e.site {
				all = append(all, waiting{e.key, since})
			}
		}
	}
	r.mu.Unlock()
	for _, w := range all {
		fn(w.k, w.since)
	}
}

// recheck reads an entry again. A session that is gone ends with its live
// requests; one that has some is extended if that is due. An error means that it
// is to be tried again. Nothing is read that has no live request, and was not
// used.
func (c *Cache) recheck(ctx context.Context, e entry, used bool) error {
	k := &e.key
	if e.site {
		return c.recheckSite(ctx, k)
	}
	owner := c.live.strictest(k)
	if owner == nil && !used {
		return nil
	}
	found, value, err := c.load(ctx, k)
	if errors.Is(err, ErrNone) {
		c.gone(k)
		return nil
	}
	if errors.Is(err, records.ErrVersion) {
		return nil // it is there, and this release cannot tell more
	}
	if err != nil || owner == nil {
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

func (c *Cache) recheckSite(ctx context.Context, k *Key) error {
	_, err := c.loadSite(ctx, k)
	if errors.Is(err, ErrNone) {
		c.sites.drop(k)
	}
	if answered(err) {
		return nil
	}
	return err
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
