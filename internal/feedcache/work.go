package feedcache

import (
	"context"
	"errors"
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
)

// add adds to the tasks. q.mu must be held, here and below, unless a comment says
// otherwise.
func (q *queue[K]) add(key K, since int64) *task {
	t, ok := q.tasks[key]
	switch {
	case !ok:
		t = &task{since: since}
		q.tasks[key] = t
		q.enqueue(key, t)
	case t.running:
		t.again = true
		t.later = earlier(t.later, since)
	default:
		t.since = earlier(t.since, since)
	}
	return t
}

func (q *queue[K]) enqueue(key K, t *task) {
	t.queued = max(q.now(), 1)
	q.queue = append(q.queue, key)
	q.work()
}

// proceed lets the first keys of those that wait be read, n at most.
func (q *queue[K]) proceed(waiting *[]K, n int) {
	n = min(n, len(*waiting))
	for _, key := range (*waiting)[:n] {
		q.enqueue(key, q.tasks[key])
	}
	*waiting = append((*waiting)[:0], (*waiting)[n:]...)
}

func (q *queue[K]) proceedAll() {
	q.proceed(&q.waiting, len(q.waiting))
	q.proceed(&q.apart, len(q.apart))
}

// work sees that there is one more worker, up to their bound.
func (q *queue[K]) work() {
	if q.closed || q.workers == workers {
		return
	}
	q.workers++
	q.running.Go(func() {
		for key, used, ok := q.next(); ok; key, used, ok = q.next() {
			asks := used || q.needed(key)
			var err error
			if asks {
				err = q.ask(key)
			}
			q.done(key, asks, err)
		}
	})
}

// ask reads a key. It takes no lock of q. An error means that the store did not answer.
func (q *queue[K]) ask(key K) error {
	ctx, cancel := context.WithTimeout(q.life, readTimeout)
	defer cancel()
	if err := q.read(ctx, key); !q.answered(err) {
		return err
	}
	return nil
}

// next takes a key from the queue. Without one, the worker ends. It locks q.mu
// itself.
func (q *queue[K]) next() (key K, used, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.all != 0 && q.life.Err() == nil {
		since := q.all
		q.all = 0
		q.mu.Unlock()
		attached := q.attached()
		q.mu.Lock()
		for _, key := range attached {
			q.add(key, since)
		}
	}
	for len(q.queue) > 0 && q.life.Err() == nil {
		key = q.queue[0]
		q.queue = q.queue[1:]
		if t := q.tasks[key]; t != nil && t.queued != 0 { // else it waits by now
			t.running, t.queued = true, 0
			return key, t.used, true
		}
	}
	q.workers--
	return key, false, false
}

// done records the result for a key, and whether the store was asked for it. It locks
// q.mu itself.
func (q *queue[K]) done(key K, asked bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tasks[key]
	t.running = false
	if err != nil {
		t.since = earlier(t.since, t.later)
		t.used, t.again, t.later = true, false, 0
		if !errors.Is(err, storage.ErrAway) {
			q.silent, q.away = true, true
		}
		q.wait(key, t, err)
		return
	}
	if asked {
		q.silent, q.away = false, false
	}
	if t.failed {
		q.pause = 0
		q.proceedAll()
	}
	if !t.again {
		delete(q.tasks, key)
		return
	}
	*t = task{since: t.later, used: t.used}
	q.enqueue(key, t)
}

// wait has a key wait, for which the store did not answer. A few of those that do
// are read after a pause: a key of a server that was slow does not wait until all
// those of one that is away had their turn.
func (q *queue[K]) wait(key K, t *task, err error) {
	t.failed, t.queued = true, 0
	if errors.Is(err, storage.ErrAway) {
		q.apart = append(q.apart, key)
	} else {
		q.waiting = append(q.waiting, key)
	}
	if q.pausing || q.closed {
		return
	}
	q.pausing = true
	q.pause = min(max(2*q.pause, firstPause), longestPause)
	time.AfterFunc(q.pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.pausing = false
		q.proceed(&q.waiting, workers)
		q.proceed(&q.apart, workers)
	})
}
