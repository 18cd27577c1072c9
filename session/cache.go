package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/feedcache"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/storage"
)

const defaultCapacity = 250_000

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

	// Rand is the source of tokens. Default: crypto/rand.
	Rand io.Reader

	// Logger gets errors that no caller gets: records that do not decode, and
	// extensions that failed. Default: none. It must not block.
	Logger func(what string, err error)
}

// A Cache is what outlives a reload of the configuration: decoded sessions,
// and the requests that are attached to them. There is one for each store.
type Cache struct {
	store  storage.Store
	clock  func() time.Time
	random io.Reader
	logger func(what string, err error)

	sessions *feedcache.Table[short, Session]
	sites    *feedcache.Table[short, site]
	feed     *feedcache.Feed[entry, request]
}

// short is the part of a key that the tables need to tell keys apart. Every lookup
// compares the rest.
type short [16]byte

func shortOf(k *Key) short { return short(k[:len(short{})]) }

// An entry names what a cache holds: a session, or a site session, which has no
// requests.
type entry struct {
	key  Key
	site bool
}

// NewCache returns a cache over store, which it does not close.
func NewCache(store storage.Store, o CacheOptions) *Cache {
	if o.Capacity <= 0 {
		o.Capacity = defaultCapacity
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
	c := &Cache{store: store, clock: o.Now, random: o.Rand, logger: o.Logger}
	c.feed = feedcache.New(feedcache.Options[entry, request]{
		Patience:    o.Patience,
		Now:         o.Now,
		Shard:       func(e entry) uint8 { return e.key[0] },
		Changed:     c.changed,
		Recheck:     c.recheck,
		Answered:    answered,
		WithinGrace: func(r *request, since int64) bool { return r.owner.terms.withinGrace(since, c.now()) },
		Sweep:       c.sweep,
		Ended:       ErrEnded,
	})
	first := func(k short) uint8 { return k[0] }
	c.sessions = feedcache.NewTable[short, Session](&c.feed.Epochs, o.Capacity, first)
	c.sites = feedcache.NewTable[short, site](&c.feed.Epochs, o.Capacity, first)
	c.feed.Follow(store)
	return c
}

// Close stops the cache's watch and its background work. Requests that are
// attached go on, but their sessions' ends are no longer noticed.
func (c *Cache) Close() { c.feed.Close() }

// Counts says what interruptions of the store came to, for requests with sessions
// that are known.
func (c *Cache) Counts() feedcache.Counts { return c.feed.Counts() }

func (c *Cache) now() int64 { return c.clock().UnixMilli() }

// changed hears what the store tells.
func (c *Cache) changed(key string) {
	if k, ok := sessionPrefix.parse(key); ok {
		c.sessions.Drop(shortOf(&k))
		c.feed.Changed(entry{key: k})
	} else if k, ok := sitePrefix.parse(key); ok {
		c.sites.Drop(shortOf(&k))
	}
}

// load reads a session and lets it into the cache if it may. The value is what
// was stored. An error is ErrNone, or wraps storage.ErrUnavailable.
func (c *Cache) load(ctx context.Context, k *Key) (s *Session, value []byte, err error) {
	s, err = c.sessions.Load(shortOf(k), func() (*Session, error) {
		stored, ok, err := c.store.Get(ctx, k.in(sessionPrefix))
		if err != nil {
			return nil, unavailable("reading a session", err)
		}
		if !ok {
			return nil, ErrNone
		}
		r, err := decodeRecord(stored)
		if err != nil {
			c.logger("session "+k.ID(), err)
			return nil, unread(err)
		}
		r.Agent, r.From = "", "" // only lists of sessions need them
		s := newSession(*k, r)
		if known, ok := c.sessions.Peek(shortOf(k)); ok && known.Value.key == *k {
			s.attempted.Store(known.Value.attempted.Load()) // which may not have been written down
		}
		value = stored
		return s, nil
	})
	if errors.Is(err, ErrNone) {
		c.sessions.Forget(shortOf(k))
		c.feed.Requests.End(entry{key: *k})
	}
	return s, value, err
}

// gone forgets a session that is known to be over.
func (c *Cache) gone(k *Key) {
	c.sessions.Drop(shortOf(k))
	c.feed.Requests.End(entry{key: *k})
}

// unread is what a record counts as that does not decode: one of a newer release
// as unavailable, and anything else as none.
func unread(err error) error {
	if errors.Is(err, records.ErrVersion) {
		return err
	}
	return ErrNone
}

// answered reports whether the store has answered, be it with a record of a newer
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
