// Package recheck reads again what a cache holds of a store and cannot vouch for
// any more, since the store's feed of changes was interrupted, or since the store
// did not answer.
//
// A [Queue] has each key once, however often it is asked for. A few goroutines
// read what is in it; they come and go with the work, and none sleeps:
//
//   - A key for which the store does not answer waits, and holds up no other key:
//     a store of several servers may answer for the others.
//   - Of what waits, a few keys are tried after a pause, those of a server that is
//     known to be away apart from the others. As soon as the store answers for one
//     of them, or its feed is back, all that waits is read.
//   - A request that uses such a key goes on by what the cache has, and does not
//     ask the store. If the key has not had its turn within half a second, the
//     request asks by itself. So nothing is believed unchecked for more than a
//     second once the store answers.
package recheck

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	// workers bounds how many goroutines read at once, and how many of the keys
	// that wait are tried after a pause.
	workers = 16

	readTimeout  = 5 * time.Second
	firstPause   = 50 * time.Millisecond
	longestPause = 500 * time.Millisecond

	// turn is how long a key may be in the queue, in milliseconds, before a request
	// that uses it asks the store by itself.
	turn = 500
)

// Options of a [Queue]. All are required.
type Options[K comparable] struct {
	// Read reads a key again. used says that a request used it while the store
	// did not answer. An error means that the store did not answer.
	Read func(ctx context.Context, key K, used bool) error

	// Live returns the keys of all requests under way.
	Live func() []K

	// Now is the clock, in milliseconds since 1970.
	Now func() int64
}

// A Queue is the keys that are to be read again. Its methods are safe for
// concurrent use, and none of them waits for the store.
type Queue[K comparable] struct {
	options Options[K]
	life    context.Context // ends with Close
	end     context.CancelFunc

	mu      sync.Mutex
	tasks   map[K]*task
	queue   []K   // to be read now
	waiting []K   // the store did not answer for them,
	apart   []K   // nor was it asked for these, since who keeps them is known to be away
	live    int64 // if not 0, the keys of all live requests are to be queued: unverified since then
	workers int
	pause   time.Duration // the last one, since the store last answered for a key that waited
	pausing bool          // a timer is set
	closed  bool
	running sync.WaitGroup

	silent bool // the store did not answer when it was last asked
	away   bool // it did not although it had its own time to

	counts Counts
}

// Counts say what an interruption or a silence of the store came to. All but Pending
// grow for as long as the process lives.
type Counts struct {
	// Interruptions are how often the store's feed was interrupted, or came back.
	Interruptions uint64 `json:"interruptions"`

	// Unchecked are the uses of what is known that went on without asking the store.
	Unchecked uint64 `json:"unchecked"`

	// Waited are those that waited for the store in vain, for as long as a use
	// may: the first of each key after an interruption.
	Waited uint64 `json:"waited"`

	// TimedOut are those that waited for as long as the store takes to give up. There
	// should be none.
	TimedOut uint64 `json:"timed_out"`

	// Pending is how many keys are to be read again.
	Pending int `json:"pending"`
}

// Add adds those of another queue.
func (c *Counts) Add(other Counts) {
	c.Interruptions = max(c.Interruptions, other.Interruptions) // of one store
	c.Unchecked += other.Unchecked
	c.Waited += other.Waited
	c.TimedOut += other.TimedOut
	c.Pending += other.Pending
}

// A task is what is to be done for a key.
type task struct {
	since   int64 // unverified since then, in milliseconds since 1970; 0: it is not
	queued  int64 // when it came into the queue; 0: it is not there
	used    bool  // a request used the key while the store did not answer
	failed  bool  // the store did not answer for the key when it was last read
	running bool
	again   bool  // asked for again while running,
	later   int64 // unverified since then
}

// New returns an empty queue.
func New[K comparable](o Options[K]) *Queue[K] {
	life, end := context.WithCancel(context.Background()) //nolint:gosec // Close calls end
	return &Queue[K]{options: o, tasks: make(map[K]*task), life: life, end: end}
}

// Close ends the reading, and waits for it.
func (q *Queue[K]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.end()
	q.running.Wait()
}

// Counts returns what was counted so far.
func (q *Queue[K]) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	counts := q.counts
	counts.Pending = len(q.tasks)
	return counts
}

// Idle says that nothing is being read, and nothing waits to be.
func (q *Queue[K]) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.tasks) == 0 && q.live == 0 && q.workers == 0
}

// Add has a key read again that is unverified since then; 0: it only is to be read.
func (q *Queue[K]) Add(key K, since int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(key, since)
}

// AddLive has the keys of all live requests read again, and all that waits, at
// once: the store's feed was interrupted then, or is back.
func (q *Queue[K]) AddLive(since int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.Interruptions++
	q.live = earlier(q.live, since)
	q.proceedAll()
	q.work()
}

// Unanswered has a key read until the store answers, which did not when a request
// asked, by its error. The key is unverified since then.
func (q *Queue[K]) Unanswered(key K, since int64, err error) {
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

// Noticed is told of the error of a request that left the store its own time, for
// a key that the cache does not know. Until the store answers it is asked for
// probe, which nobody uses.
func (q *Queue[K]) Noticed(ctx context.Context, err error, probe K, now int64) {
	if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrAway) || ctx.Err() != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.silent, q.away = true, true
	q.add(probe, now).used = true
}

// Unneeded says that a request need not ask the store for a key, which is
// unverified since then, and sees that the key is read.
func (q *Queue[K]) Unneeded(key K, since int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	t, ok := q.tasks[key]
	used := ok && t.used
	if ok && t.queued != 0 && q.options.Now()-t.queued > turn || !used && !q.silent {
		return false
	}
	if !used {
		q.add(key, since).used = true
	}
	q.counts.Unchecked++
	return true
}

// Silent says whether the store did not answer when it was last left its own
// time. One that is slow is not silent: it may take longer than a request waits
// for what is known anyway. Nor is one of which only a part is known to be away.
func (q *Queue[K]) Silent() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.away
}

// Unverified calls fn for every key for which the store does not answer, with the
// time since when it is unverified. While the store answers, keys that are in the
// queue simply have not had their turn.
func (q *Queue[K]) Unverified(fn func(key K, since int64)) {
	type unverified struct {
		key   K
		since int64
	}
	var all []unverified
	q.mu.Lock()
	for key, t := range q.tasks {
		if since := earlier(t.since, t.later); since != 0 && (t.failed || q.silent) {
			all = append(all, unverified{key, since})
		}
	}
	q.mu.Unlock()
	for _, u := range all {
		fn(u.key, u.since)
	}
}

// earlier returns the earlier of two times of which 0 means never.
func earlier(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
