package feedcache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// turn is how long a key may be in the queue, in milliseconds, before a request that
// uses it asks the store itself.
const turn = 500

// A queue has the keys that must be read again, each of them once. A few goroutines
// read them. They start and end with the work, and none sleeps. Only the method close
// waits for the store. A [Feed] has the exported methods.
type queue[K comparable] struct {
	read     func(context.Context, K) error
	answered func(error) bool
	needed   func(K) bool // without a use: it has attached requests
	attached func() []K   // all that have
	now      func() int64

	life context.Context // ends with close
	end  context.CancelFunc

	mu      sync.Mutex
	tasks   map[K]*task
	queue   []K   // to be read now
	waiting []K   // the store did not answer for them,
	apart   []K   // nor was it asked for these, since the server that keeps them is known to be away
	all     int64 // if not 0, the keys of all attached requests are to be queued: unverified since then
	workers int
	pause   time.Duration // the last one, since the store last answered for a key that waited
	pausing bool          // a timer is set
	closed  bool
	running sync.WaitGroup

	silent bool // the store did not answer when it was last asked
	away   bool // it did not although it had its own time to

	counts Counts
}

// Counts are statistics of interruptions and silences of the store. All except
// Pending grow for the lifetime of the process.
type Counts struct {
	// Interruptions are how often the store's feed was interrupted, or came back.
	Interruptions uint64 `json:"interruptions"`

	// Unchecked are the uses of known values that continued without an answer of the
	// store.
	Unchecked uint64 `json:"unchecked"`

	// Waited are those that waited for the store in vain, for as long as a use
	// may: the first of each key after an interruption.
	Waited uint64 `json:"waited"`

	// TimedOut are those that waited for the whole timeout of the store. There should
	// be none.
	TimedOut uint64 `json:"timed_out"`

	// Pending is how many keys are to be read again.
	Pending int `json:"pending"`
}

// Add adds those of another feed.
func (c *Counts) Add(other Counts) {
	c.Interruptions = max(c.Interruptions, other.Interruptions) // of one store
	c.Unchecked += other.Unchecked
	c.Waited += other.Waited
	c.TimedOut += other.TimedOut
	c.Pending += other.Pending
}

// A task is the pending work for a key.
type task struct {
	since   int64 // unverified since then; 0: it is not
	queued  int64 // when it came into the queue; 0: it is not there
	used    bool  // a request used the key while the store did not answer
	failed  bool  // the store did not answer for the key when it was last read
	running bool
	again   bool  // asked for again while running,
	later   int64 // unverified since then
}

// start initializes a queue that has its functions.
func (q *queue[K]) start() {
	q.life, q.end = context.WithCancel(context.Background()) //nolint:gosec // close calls end
	q.tasks = make(map[K]*task)
}

// close ends the reading, and waits for it.
func (q *queue[K]) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.end()
	q.running.Wait()
}

// Counts returns the statistics so far.
func (q *queue[K]) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	counts := q.counts
	counts.Pending = len(q.tasks)
	return counts
}

// Idle reports whether no key is being read again, and none waits.
func (q *queue[K]) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.tasks) == 0 && q.all == 0 && q.workers == 0
}

// Silent reports whether the store did not answer when a request last waited for its
// full timeout. A slow store is not silent: it may take longer than a request waits
// for a known entry. A store is not silent either if only a part of it is known to be
// away.
func (q *queue[K]) Silent() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.away
}

// Recheck queues an entry that is unverified since then, so that it is read again; 0:
// the entry only has to be read. An entry that has no request and was not used is not
// read.
func (q *queue[K]) Recheck(key K, since int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(key, since)
}

// interrupted has the keys of all attached requests read again, and all that waits, at
// once: the store's feed was interrupted then, or is back.
func (q *queue[K]) interrupted(since int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.Interruptions++
	q.all = earlier(q.all, since)
	q.proceedAll()
	q.work()
}

// unanswered queues a key after a request for which the store did not answer,
// according to its error. It is read until the store answers. The key is unverified
// since then.
func (q *queue[K]) unanswered(key K, since int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !errors.Is(err, storage.ErrAway) {
		q.counts.Waited++
		q.silent = true
	}
	if errors.Is(err, storage.ErrTimedOut) {
		q.counts.TimedOut++
	}
	t := q.add(key, since)
	t.used = true
	if t.queued != 0 {
		q.wait(key, t, err)
	}
}

// noticed gets the error of a request for an unknown key that gave the store its full
// time. Until the store answers, it is asked for the zero key, which is not in use.
func (q *queue[K]) noticed(err error) {
	if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrAway) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.silent, q.away = true, true
	var probe K
	q.add(probe, q.now()).used = true
}

// unneeded reports whether a request need not ask the store for a key, which is
// unverified since then, and queues the key.
func (q *queue[K]) unneeded(key K, since int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	t, ok := q.tasks[key]
	used := ok && t.used
	if ok && t.queued != 0 && q.now()-t.queued > turn || !used && !q.silent {
		return false
	}
	if !used {
		q.add(key, since).used = true
	}
	q.counts.Unchecked++
	return true
}

// unverified calls fn for every key for which the store does not answer, with the
// time since when it is unverified. While the store answers, keys that are in the
// queue simply have not had their turn.
func (q *queue[K]) unverified(fn func(key K, since int64)) {
	all := map[K]int64{}
	q.mu.Lock()
	for key, t := range q.tasks {
		if since := earlier(t.since, t.later); since != 0 && (t.failed || q.silent) {
			all[key] = since
		}
	}
	q.mu.Unlock()
	for key, since := range all {
		fn(key, since)
	}
}

// earlier returns the earlier of two times of which 0 means never.
func earlier(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
