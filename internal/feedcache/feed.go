package feedcache

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	defaultPatience = 100 * time.Millisecond

	// sweepEvery is how often attached requests are looked at.
	sweepEvery = time.Second
)

// Options of a [Feed]. All are required but Patience and Sweep.
type Options[K comparable, R any] struct {
	// Patience is how long a use of an unverified entry waits for the store.
	// Default: 100 milliseconds.
	Patience time.Duration

	// Now is the clock.
	Now func() time.Time

	// Shard spreads keys over shards.
	Shard func(K) uint8

	// Changed gets the key of each record that changed in the store.
	Changed func(key string)

	// Recheck reads an entry again, and ends its requests if it is gone.
	Recheck func(ctx context.Context, k K) error

	// Answered reports, from the error of a read, whether the store has answered.
	Answered func(err error) bool

	// WithinGrace reports whether a request may go on whose entry is unverified since
	// then, while the store does not answer.
	WithinGrace func(r *R, since int64) bool

	// Sweep runs every second.
	Sweep func()

	// Ended is the cause with which contexts of requests end.
	Ended error
}

// A Feed follows the store's feed of changes for the tables and requests of one cache.
// Its methods are safe for concurrent use. Only Ask waits for the store.
type Feed[K comparable, R any] struct {
	Epochs   Epochs
	Requests *Requests[K, R]

	queue[K]
	options Options[K, R]
	stop    func()
	sweeper sync.WaitGroup
}

// New returns a feed that follows nothing before [Feed.Follow].
func New[K comparable, R any](o Options[K, R]) *Feed[K, R] {
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	f := &Feed[K, R]{options: o, Requests: NewRequests[K, R](o.Shard, o.Ended)}
	f.Epochs.current.Store(new(epoch))
	f.queue = queue[K]{
		read: o.Recheck, answered: o.Answered, needed: f.Requests.Has,
		attached: func() []K { return f.Requests.Keys(Any[R]) },
		now:      func() int64 { return o.Now().UnixMilli() },
	}
	f.Epochs.now = f.now
	f.start()
	return f
}

// Follow begins to watch the store. Everything that Changed, Recheck and Sweep use
// must exist before.
func (f *Feed[K, R]) Follow(store storage.Store) {
	ctx, stop := context.WithCancel(context.Background())
	f.sweeper.Go(func() { f.sweepUntil(ctx) })
	stopWatch := store.Watch(f.heard)
	f.stop = func() { stopWatch(); stop() }
}

// Close stops the watch and the background work. Attached requests go on, but the ends of
// their entries are no longer noticed.
func (f *Feed[K, R]) Close() {
	f.stop()
	f.sweeper.Wait()
	f.close()
}

func (f *Feed[K, R]) heard(change storage.Change) {
	if !change.Lost {
		f.options.Changed(change.Key)
		return
	}
	f.interrupted(f.Epochs.end())
}

// Changed has an entry read again that has changed, if requests are attached to it.
func (f *Feed[K, R]) Changed(k K) {
	if f.Requests.Has(k) {
		f.Recheck(k, f.now())
	}
}

// Ask asks the store, by read, for an entry that is unverified since then. If the store
// does not answer in time, the entry is believed: the caller goes on by what it knows.
//
// With since 0 the entry is not known, or past its grace, and is never believed. Then a
// request leaves the store its own time, unless the store used that up without an answer
// the last time.
func (f *Feed[K, R]) Ask(ctx context.Context, k K, since int64, read func(context.Context) error) (believed bool, err error) {
	patient := since == 0 && !f.Silent()
	if since != 0 && f.unneeded(k, since) {
		return true, nil
	}
	bounded := ctx
	if !patient {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, f.options.Patience)
		defer cancel()
	}
	err = read(bounded)
	switch {
	case f.options.Answered(err) || ctx.Err() != nil:
	case patient:
		f.noticed(err)
	case since != 0:
		f.unanswered(k, since, err)
		return true, nil
	}
	return false, err
}

// Patience is how long a use of an unverified entry waits for the store.
func (f *Feed[K, R]) Patience() time.Duration { return f.options.Patience }

// Sweep does now what the feed does every second: it ends the requests whose entry was
// unverified for longer than their grace while the store does not answer.
func (f *Feed[K, R]) Sweep() {
	f.unverified(func(k K, since int64) {
		f.Requests.EndIf(k, func(r *R) bool { return !f.options.WithinGrace(r, since) })
	})
	if f.options.Sweep != nil {
		f.options.Sweep()
	}
}

func (f *Feed[K, R]) sweepUntil(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.Sweep()
		}
	}
}
