package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/recheck"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	defaultCapacity = 250_000
	defaultPatience = 100 * time.Millisecond

	// sweepEvery is how often live requests are looked at.
	sweepEvery = time.Second
)

// CacheOptions are what a [Cache] can be given. The zero value works.
type CacheOptions struct {
	// Capacity is about how many sessions, and again how many site sessions,
	// are kept in memory. Default: 250 000. What does not fit is read from the
	// store again.
	Capacity int

	// Patience is how long a request waits for the store to confirm what is
	// known in memory, before it goes on by that. Default: 100 milliseconds.
	Patience time.Duration

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Rand is where tokens come from. Default: crypto/rand.
	Rand io.Reader

	// Logger is told what nobody else is: records that do not decode, and
	// extensions that failed. Default: none. It must not block.
	Logger func(what string, err error)
}

// A Cache is what outlives a reload of the configuration: decoded sessions,
// and the live requests tied to them. There is one for each store.
type Cache struct {
	store    storage.Store
	patience time.Duration
	clock    func() time.Time
	random   io.Reader
	logger   func(what string, err error)

	sessions *table[Session]
	sites    *table[site]
	live     *registry
	rechecks *recheck.Queue[entry]

	// epoch counts interruptions of the feed. losses is for those who meet an
	// unverified entry.
	epoch  atomic.Uint64
	losses losses

	stopWatch func()
	stop      context.CancelFunc
	sweeper   sync.WaitGroup
}

// NewCache returns a cache over store, which it does not close.
func NewCache(store storage.Store, o CacheOptions) *Cache {
	if o.Capacity <= 0 {
		o.Capacity = defaultCapacity
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = func(string, error) {}
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Cache{
		store:    store,
		patience: o.Patience,
		clock:    o.Now,
		random:   o.Rand,
		logger:   o.Logger,
		sessions: newTable[Session](o.Capacity),
		sites:    newTable[site](o.Capacity),
		live:     newRegistry(),
		stop:     stop,
	}
	c.rechecks = recheck.New(recheck.Options[entry]{Read: c.recheck, Live: c.entries, Now: c.now})
	c.stopWatch = store.Watch(c.changed)
	c.sweeper.Go(func() { c.sweepUntil(ctx) })
	return c
}

// Close stops the cache's watch and its background work. Requests that are
// attached go on, but their sessions' ends are no longer noticed.
func (c *Cache) Close() {
	c.stopWatch()
	c.stop()
	c.sweeper.Wait()
	c.rechecks.Close()
}

// Counts says what interruptions of the store came to, for requests with sessions
// that are known.
func (c *Cache) Counts() recheck.Counts { return c.rechecks.Counts() }

func (c *Cache) now() int64 { return c.clock().UnixMilli() }

// changed hears what the store tells. It may run inside a write of the store,
// so it asks the store nothing, and waits for nobody who does.
func (c *Cache) changed(change storage.Change) {
	if change.Lost {
		c.lost()
		return
	}
	if k, ok := sessionPrefix.parse(change.Key); ok {
		c.sessions.drop(&k)
		if c.live.has(&k) {
			c.rechecks.Add(entry{key: k}, c.now())
		}
		return
	}
	if k, ok := sitePrefix.parse(change.Key); ok {
		c.sites.drop(&k)
	}
}

// lost begins a new epoch: all that was read before is unverified.
func (c *Cache) lost() {
	now := c.now()
	c.losses.add(&c.epoch, now)
	c.rechecks.AddLive(now)
}

// lostAt returns when the epoch, which must be over, ended.
func (c *Cache) lostAt(epoch uint64) int64 { return c.losses.at(epoch) }

// load reads a session and lets it into the cache if it may. The value is what
// was stored. An error is ErrNone, or wraps storage.ErrUnavailable.
func (c *Cache) load(ctx context.Context, k *Key) (s *Session, value []byte, err error) {
	generation, epoch := c.sessions.generation(k), c.epoch.Load()
	value, ok, err := c.store.Get(ctx, k.in(sessionPrefix))
	if err != nil {
		return nil, nil, unavailable("reading a session", err)
	}
	if !ok {
		return nil, nil, ErrNone
	}
	r, err := decodeRecord(value)
	if err != nil {
		c.logger("session "+k.ID(), err)
		return nil, nil, unread(err)
	}
	r.Agent, r.From = "", "" // nobody asks for them but to list sessions
	s = newSession(*k, r)
	if known, ok := c.sessions.peek(k); ok && known.value.key == *k {
		s.attempted.Store(known.value.attempted.Load()) // which may not have been written down
	}
	c.sessions.fill(k, generation, held[Session]{s, epoch})
	return s, value, nil
}

// gone forgets a session that is known to be over.
func (c *Cache) gone(k *Key) {
	c.sessions.drop(k)
	c.live.end(k)
}

// unread is what a record counts as that does not decode: one of a newer release
// as unavailable, and anything else as none.
func unread(err error) error {
	if errors.Is(err, records.ErrVersion) {
		return err
	}
	return ErrNone
}

// answered says whether the store has answered, be it with a record of a newer
// release.
func answered(err error) bool {
	return err == nil || errors.Is(err, ErrNone) || errors.Is(err, records.ErrVersion)
}

// unavailable wraps whatever kept the store from answering.
func unavailable(doing string, err error) error {
	if errors.Is(err, storage.ErrUnavailable) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, storage.ErrUnavailable, err)
}
