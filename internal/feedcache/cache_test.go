package feedcache_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/feedcache"
	"github.com/caddy-sso/caddy-sso/storage"
)

var (
	errNone  = errors.New("none")
	errEnded = errors.New("ended")
	errDown  = fmt.Errorf("dialing: %w", storage.ErrUnavailable)
)

const (
	patience = 100 * time.Millisecond
	gaveUp   = time.Second // how long a server that hangs takes to be given up
)

// A cache is the smallest user of the package: it keeps texts under numbers.
type cache struct {
	storage.Store // none: Watch alone is called
	changed       atomic.Pointer[func(storage.Change)]

	// get is the store. It is set before the first use.
	get   func(ctx context.Context, key int) (*string, error)
	gets  atomic.Int64
	grace time.Duration

	feed  *feedcache.Feed[int, request]
	table *feedcache.Table[int, string]
}

type request struct{ patient bool }

func (c *cache) Watch(fn func(storage.Change)) (stop func()) {
	c.changed.Store(&fn)
	return func() {}
}

func (c *cache) change(key int) { (*c.changed.Load())(storage.Change{Key: strconv.Itoa(key)}) }
func (c *cache) lose()          { (*c.changed.Load())(storage.Change{Lost: true}) }

func newCache(t *testing.T, grace time.Duration) *cache {
	t.Helper()
	return sizedCache(t, grace, 1000)
}

func sizedCache(t *testing.T, grace time.Duration, capacity int) *cache {
	t.Helper()
	c := &cache{grace: grace}
	c.get = func(context.Context, int) (*string, error) { return new("value"), nil }
	shard := func(key int) uint8 { return uint8(key) }
	c.feed = feedcache.New(feedcache.Options[int, request]{
		Now: time.Now, Shard: shard, Ended: errEnded,
		Changed: func(key string) {
			k, err := strconv.Atoi(key)
			if err != nil {
				t.Error(err)
			}
			c.table.Drop(k)
			c.feed.Changed(k)
		},
		Recheck: func(ctx context.Context, key int) error {
			_, err := c.read(ctx, key)
			return err
		},
		Answered: func(err error) bool { return err == nil || errors.Is(err, errNone) },
		WithinGrace: func(r *request, since int64) bool {
			return r.patient || c.within(since)
		},
	})
	c.table = feedcache.NewTable[int, string](&c.feed.Epochs, capacity, shard)
	c.feed.Follow(c)
	t.Cleanup(c.feed.Close)
	return c
}

func (c *cache) within(since int64) bool { return time.Since(time.UnixMilli(since)) <= c.grace }

func (c *cache) read(ctx context.Context, key int) (*string, error) {
	v, err := c.table.Load(key, func() (*string, error) {
		c.gets.Add(1)
		return c.get(ctx, key)
	})
	if errors.Is(err, errNone) {
		c.table.Forget(key)
		c.feed.Requests.End(key)
	}
	return v, err
}

// use is what a request does with a key.
func (c *cache) use(ctx context.Context, key int) (string, error) {
	known, ok := c.table.Get(key)
	since := int64(0)
	if ok {
		lost := known.Lost()
		if lost == 0 {
			return *known.Value, nil
		}
		if c.within(lost) {
			since = lost
		}
	}
	var found *string
	believed, err := c.feed.Ask(ctx, key, since, func(ctx context.Context) (err error) {
		found, err = c.read(ctx, key)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case believed:
		return *known.Value, nil
	}
	return *found, nil
}

// must wants a value.
func (c *cache) must(t *testing.T, key int) string {
	t.Helper()
	v, err := c.use(t.Context(), key)
	if err != nil {
		t.Fatalf("%d: %v", key, err)
	}
	return v
}

// attach ties a request to a key.
func (c *cache) attach(t *testing.T, key int, r request) (ctx context.Context, release func()) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	a := c.feed.Requests.Attach(key, r, cancel)
	if since := c.table.Since(key); since != 0 {
		c.feed.Recheck(key, since)
	}
	return ctx, func() {
		a.Release()
		cancel(nil)
	}
}

// A server is a store whose answers a test decides.
type server struct {
	mu     sync.Mutex
	values map[int]string
	err    error // of every read
	hangs  bool  // no read has an answer
}

func (s *server) get(ctx context.Context, key int) (*string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs {
		s.mu.Unlock()
		defer s.mu.Lock()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, ctx.Err())
		case <-time.After(gaveUp):
			return nil, storage.ErrTimedOut
		}
	}
	v, ok := s.values[key]
	if s.err == nil && !ok {
		return nil, errNone
	}
	return &v, s.err
}

func (s *server) set(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}
