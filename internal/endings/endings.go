// Package endings keeps what was ended ended, over a store that can forget its
// last writes: Redis replicates asynchronously, so a replica that becomes the
// master may still have a session that the old master had removed.
//
// A [Store] stands between the store and its users. It remembers for some
// minutes what was ended, here or on another node, answers by that, and ends it
// again whenever the store was interrupted. Nodes tell each other by keys
// that begin with [Announced], whose names alone matter. So an ending outlives a
// failover as long as one node lives that knew of it. One whose announcement
// and node were lost together with the master may come undone.
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

// Announced begins the keys by which nodes tell each other what was removed.
const Announced = "gone:"

const (
	defaultKeep     = 10 * time.Minute
	defaultCapacity = 50_000
)

// Options of a [Store].
type Options struct {
	// Removed are what keys begin with whose removal by Take ends something.
	// Such a key is never used again, so that ending it once more ends nothing
	// else.
	Removed []string

	// Marks are what keys begin with whose value says that something has ended.
	// Such a value is never changed or removed.
	Marks []string

	// MarkLifetime is how long a mark is kept that has to be written again.
	// It is as long as marks are kept at first, or longer. Required with Marks.
	MarkLifetime time.Duration

	// Keep is how long an ending is remembered: longer than a replica is
	// behind its master. Default: 10 minutes.
	Keep time.Duration

	// Capacity is how many endings are remembered; the oldest are forgotten
	// first. Default: 50 000.
	Capacity int

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Forgotten is called with the number of endings that the store had lost. It must
	// not block. Default: no call.
	Forgotten func(endings int)
}

// A Store is a store that forgets no ending. Methods that are not described
// here are those of the store below.
type Store struct {
	storage.Store

	// confirmed is the store that endings are written to: the same, or a view of it
	// whose writes wait for replicas.
	confirmed storage.Store

	options Options
	known   *lru.Cache[string, ending]
	stop    func()
	life    context.Context // ends with Close
	end     context.CancelFunc

	mu      sync.Mutex
	learn   []string // marks of other nodes whose value is to be read
	again   bool     // all endings are to be written again
	working bool
	closed  bool
	running sync.WaitGroup
}

// An ending is what is known of a key.
type ending struct {
	at       int64  // when it was heard of last, in milliseconds since 1970
	mark     []byte // the value of a mark; nil: the key was removed
	unstored bool   // the store may never have had it
}

// A confirmer is a store that can wait until replicas have what it wrote.
type confirmer interface {
	// Confirmed returns the same store, whose Put and Take wait for that.
	Confirmed() storage.Store
}

// New returns a store over another one, which its Close closes. What ends is
// written so that replicas have it, where the other one can wait for them.
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
	s.life, s.end = context.WithCancel(context.Background())
	s.stop = store.Watch(s.changed)
	return s
}

// Watch tells of a removal as soon as another node announces it, and not only when it
// is done: Get already knows of it then. So the requests of a session end one round
// trip of the other node sooner.
func (s *Store) Watch(fn func(storage.Change)) (stop func()) {
	return s.Store.Watch(func(c storage.Change) {
		fn(c)
		if key, announced := strings.CutPrefix(c.Key, Announced); announced && begins(key, s.options.Removed) {
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

// Put remembers marks. One that could not be stored is stored later.
func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	s.marked(key, value)
	return s.orLater(key, s.writer(key).Put(ctx, key, value, lifetime))
}

// Pin is Put for a value that is pinned.
func (s *Store) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	s.marked(key, value)
	return s.orLater(key, s.writer(key).Pin(ctx, key, value, lifetime))
}

// Take announces a removal to the other nodes before it. Where the announcement
// cannot be stored, it goes on: removing something may be what makes room. A
// value that could not be removed counts as removed here, and is removed later.
func (s *Store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if !begins(key, s.options.Removed) {
		return s.Store.Take(ctx, key)
	}
	s.remember(key, ending{})
	// An error here is that of the removal, too, or one that it mends.
	_ = s.Store.Put(ctx, Announced+key, []byte{1}, s.options.Keep)
	value, ok, err := s.confirmed.Take(ctx, key)
	return value, ok, s.orLater(key, err)
}

// writer is what a key is written to: marks wait for replicas.
func (s *Store) writer(key string) storage.Store {
	if begins(key, s.options.Marks) {
		return s.confirmed
	}
	return s.Store
}

// orLater sees that an ending is written again that may not have been stored.
func (s *Store) orLater(key string, err error) error {
	if e, known := s.ended(key); known && errors.Is(err, storage.ErrUnavailable) {
		e.unstored = true
		s.known.Add(key, e)
		s.work(func() { s.again = true })
	}
	return err
}

// CompareAndSwap changes nothing whose removal is known, and remembers marks.
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

// Scan leaves out what is known to be removed.
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

// Close closes the store below, too.
func (s *Store) Close() error {
	s.stop()
	s.end()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.Store.Close()
	s.running.Wait()
	return err
}

// ended returns what is known of a key that has ended.
func (s *Store) ended(key string) (ending, bool) {
	if !begins(key, s.options.Removed) && !begins(key, s.options.Marks) {
		return ending{}, false
	}
	e, known := s.known.Peek(key)
	return e, known && !s.old(e)
}

// old says whether an ending was heard of so long ago that no replica can have
// missed it.
func (s *Store) old(e ending) bool {
	return s.options.Now().UnixMilli()-e.at > s.options.Keep.Milliseconds()
}

// marked remembers a mark.
func (s *Store) marked(key string, value []byte) {
	if begins(key, s.options.Marks) {
		s.remember(key, ending{mark: slices.Clip(slices.Clone(value))})
	}
}

func (s *Store) remember(key string, e ending) {
	e.at = s.options.Now().UnixMilli()
	s.known.Add(key, e)
}

func begins(key string, prefixes []string) bool {
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
