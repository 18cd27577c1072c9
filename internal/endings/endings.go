// Package endings makes endings durable over a store that can lose its last writes.
// Redis replicates asynchronously: a replica that becomes the master may still have a
// session that was removed from the old master.
//
// A [Store] wraps the store. It remembers for some minutes which keys ended, on this
// node or another, answers reads accordingly, and ends the keys again after each
// interruption of the store. Nodes tell each other about removals by writing keys that
// begin with [Announced]. Only the names of these keys matter. So an ending survives a
// failover as long as one node that knows it is running. If the announcement, that node
// and the master are lost together, the ending may be undone.
package endings

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/caddy-sso/caddy-sso/storage"
)

// Announced is the prefix of the keys by which nodes tell each other what was removed.
const Announced = "gone:"

const (
	defaultKeep     = 10 * time.Minute
	defaultCapacity = 50_000
)

// Options are the options of a [Store].
type Options struct {
	// Removed are the prefixes of keys whose removal by Take ends something. Such a key
	// is never used again, so ending it twice ends nothing else.
	Removed []string

	// Marks are the prefixes of keys whose value marks that something has ended. Such a
	// value is never changed or removed.
	Marks []string

	// MarkLifetime is the lifetime of a mark that is written again. It must not be
	// shorter than the mark's first lifetime. Required with Marks.
	MarkLifetime time.Duration

	// Keep is how long an ending is remembered. It must be longer than the delay of a
	// replica. Default: 10 minutes.
	Keep time.Duration

	// Capacity is how many endings are remembered. If there are more, the oldest are
	// evicted. Default: 50 000.
	Capacity int

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Forgotten is called with the number of endings that the store had lost. It must
	// not block. Default: no call.
	Forgotten func(endings int)
}

// A Store is a store that does not lose endings. Methods without a description here are
// those of the wrapped store.
type Store struct {
	storage.Store

	// confirmed is the store for writes that end something: the same store, or a view
	// of it whose writes wait for replicas.
	confirmed storage.Store

	options Options
	known   *lru.Cache[string, ending]
	stop    func()
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc

	mu      sync.Mutex
	unread  []string // marks of other nodes whose value must be read
	rewrite bool     // all endings must be written again
	working bool
	closed  bool
	running sync.WaitGroup
}

// An ending is the knowledge about a key that has ended.
type ending struct {
	at       int64  // the last report of it, in milliseconds since 1970
	mark     []byte // the value of a mark; nil: the key was removed
	unstored bool   // the store may never have stored it
}

// A confirmer is a store that can wait until replicas have its writes.
type confirmer interface {
	// Confirmed returns the same store, whose Put and Take wait for replicas.
	Confirmed() storage.Store
}

// New returns a store that wraps another one. Close closes both. If the other store can
// wait for replicas, writes that end something wait for them.
func New(store storage.Store, o Options) *Store {
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	if o.Capacity <= 0 {
		o.Capacity = defaultCapacity
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Forgotten == nil {
		o.Forgotten = func(int) {}
	}
	known, err := lru.New[string, ending](o.Capacity)
	if err != nil {
		panic(err) // the capacity is positive
	}
	s := &Store{Store: store, confirmed: store, options: o, known: known}
	if c, ok := store.(confirmer); ok {
		s.confirmed = c.Confirmed()
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.stop = store.Watch(s.changed)
	return s
}

// Watch tells of a removal as soon as another node announces it, and not only when it
// is done: Get already knows of it then. So the requests of a session end one round
// trip of the other node sooner.
func (s *Store) Watch(fn func(storage.Change)) (stop func()) {
	return s.Store.Watch(func(c storage.Change) {
		fn(c)
		if key, announced := strings.CutPrefix(c.Key, Announced); announced && hasAnyPrefix(key, s.options.Removed) {
			fn(storage.Change{Key: key})
		}
	})
}

// Get returns no value whose removal is known, and marks that the store has
// forgotten. For a key whose removal is known it asks the store only if it could not
// remove it.
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if e, known := s.ended(key); known && e.mark == nil && !e.unstored {
		return nil, false, nil
	}
	value, ok, err := s.Store.Get(ctx, key)
	if err != nil {
		return nil, false, err
	}
	e, known := s.ended(key)
	switch {
	case !known:
		return value, ok, nil
	case e.mark == nil:
		return nil, false, nil
	case !ok:
		return slices.Clone(e.mark), true, nil
	}
	return value, ok, nil
}

// Put remembers marks. If a mark cannot be stored, it is stored later.
func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	s.marked(key, value)
	return s.retryLater(key, s.writer(key).Put(ctx, key, value, lifetime))
}

// Pin is Put for a value that is pinned.
func (s *Store) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	s.marked(key, value)
	return s.retryLater(key, s.writer(key).Pin(ctx, key, value, lifetime))
}

// Take announces a removal to the other nodes, and then removes the value. If the
// announcement cannot be stored, Take continues, because the removal may make the room
// that is missing. If the value cannot be removed, it counts as removed on this node,
// and is removed later.
func (s *Store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if !hasAnyPrefix(key, s.options.Removed) {
		return s.Store.Take(ctx, key)
	}
	s.remember(key, ending{})
	// If this fails, the removal fails, too, or corrects it.
	_ = s.Store.Put(ctx, Announced+key, []byte{1}, s.options.Keep)
	value, ok, err := s.confirmed.Take(ctx, key)
	return value, ok, s.retryLater(key, err)
}

// writer is the store for writes of a key. Writes of marks wait for replicas.
func (s *Store) writer(key string) storage.Store {
	if hasAnyPrefix(key, s.options.Marks) {
		return s.confirmed
	}
	return s.Store
}

// retryLater schedules another write of an ending that may not have been stored.
func (s *Store) retryLater(key string, err error) error {
	if e, known := s.ended(key); known && errors.Is(err, storage.ErrUnavailable) {
		e.unstored = true
		s.known.Add(key, e)
		s.schedule(func() { s.rewrite = true })
	}
	return err
}

// CompareAndSwap changes no value that is known to be removed, and remembers marks.
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if e, known := s.ended(key); known && e.mark == nil {
		return false, nil
	}
	swapped, err := s.Store.CompareAndSwap(ctx, key, old, next, lifetime)
	if swapped && err == nil {
		s.marked(key, next)
	}
	return swapped, err
}

// Scan skips values that are known to be removed.
func (s *Store) Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	return s.Store.Scan(ctx, prefix, func(key string, value []byte) error {
		if e, known := s.ended(key); known && e.mark == nil {
			return nil
		}
		return fn(key, value)
	})
}

// Identity implements [storage.Identified].
func (s *Store) Identity(key string) string { return storage.Identity(s.Store, key) }

// AskIdentity implements [storage.Identified].
func (s *Store) AskIdentity(ctx context.Context, key string) (string, error) {
	return storage.AskIdentity(ctx, s.Store, key)
}

// Close also closes the wrapped store.
func (s *Store) Close() error {
	s.stop()
	s.cancel()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.Store.Close()
	s.running.Wait()
	return err
}

// ended returns the ending of a key, if the key is known to have ended.
func (s *Store) ended(key string) (ending, bool) {
	if !hasAnyPrefix(key, s.options.Removed) && !hasAnyPrefix(key, s.options.Marks) {
		return ending{}, false
	}
	e, known := s.known.Peek(key)
	return e, known && !s.old(e)
}

// old reports whether an ending is so old that every replica must have it.
func (s *Store) old(e ending) bool {
	return s.options.Now().UnixMilli()-e.at > s.options.Keep.Milliseconds()
}

// marked remembers a mark.
func (s *Store) marked(key string, value []byte) {
	if hasAnyPrefix(key, s.options.Marks) {
		s.remember(key, ending{mark: slices.Clip(slices.Clone(value))})
	}
}

func (s *Store) remember(key string, e ending) {
	e.at = s.options.Now().UnixMilli()
	s.known.Add(key, e)
}

func hasAnyPrefix(key string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

var (
	_ storage.Store      = (*Store)(nil)
	_ storage.Identified = (*Store)(nil)
)
