package feedcache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// silentCache is one whose server knows so many keys, as it does.
func silentCache(t *testing.T, grace time.Duration, keys int) (*cache, *server) {
	t.Helper()
	s := &server{values: map[int]string{}}
	c := newCache(t, grace)
	c.get = s.get
	for key := range keys {
		s.values[key] = "value"
		c.must(t, key)
	}
	return c, s
}

// took returns how long fn takes.
func took(fn func()) time.Duration {
	began := time.Now()
	fn()
	return time.Since(began)
}

func TestNoUseWaitsForASilentStoreButTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := silentCache(t, time.Hour, 100)
		s.set(func() { s.hangs = true })
		c.lose()
		if d := took(func() { c.must(t, 0) }); d != patience {
			t.Errorf("the first use takes %v", d)
		}
		for range 3 {
			for key := range 100 {
				if d := took(func() { c.must(t, key) }); d != 0 {
					t.Fatalf("another use takes %v", d)
				}
			}
		}
		if counts := c.feed.Counts(); counts.Waited != 1 || counts.Unchecked != 300 || counts.Interruptions != 1 || counts.Pending != 100 {
			t.Errorf("%+v", counts)
		}
		s.set(func() { s.hangs = false; clear(s.values) }) // all ended meanwhile
		c.lose()                                           // as the store says when it is back
		time.Sleep(gaveUp + time.Second)                   // reads are running
		for key := range 100 {
			if _, err := c.use(t.Context(), key); err != errNone {
				t.Errorf("%d: %v", key, err)
			}
		}
		synctest.Wait()
		if !c.feed.Idle() || c.feed.Silent() {
			t.Errorf("the feed has no rest: %+v", c.feed.Counts())
		}
	})
}

// The store answers again, and its feed says nothing of it.
func TestWithinASecondOfTheAnswerNothingIsBelievedUnchecked(t *testing.T) {
	for name, err := range map[string]error{"away": storage.ErrAway, "down": errDown} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := silentCache(t, time.Hour, 100)
				s.set(func() { s.err = err })
				c.lose()
				for range 50 {
					for key := range 100 {
						c.must(t, key)
					}
					time.Sleep(100 * time.Millisecond)
				}
				s.set(func() { s.err = nil; clear(s.values) })
				time.Sleep(time.Second)
				for key := range 100 {
					if _, err := c.use(t.Context(), key); err != errNone {
						t.Errorf("%d: %v", key, err)
					}
				}
			})
		})
	}
}

func TestPastItsGraceAnEntryCountsAsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := silentCache(t, time.Minute, 2)
		s.set(func() { s.err = errDown })
		c.lose()
		for range 6 {
			c.must(t, 0)
			time.Sleep(10 * time.Second)
			c.lose() // as each attempt to connect may: it buys no time
		}
		c.must(t, 0)
		time.Sleep(time.Millisecond)
		for key := range 2 {
			if _, err := c.use(t.Context(), key); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%d: %v", key, err)
			}
		}
		s.set(func() { s.err = nil })
		for key := range 2 {
			c.must(t, key)
		}
	})
}

// The first request for what is not known leaves the store its own time. Until the
// store answers, others do not.
func TestARequestForAnUnknownKeyFindsOutThatTheStoreIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := silentCache(t, time.Hour, 0)
		s.set(func() { s.hangs = true; s.values[7] = "value" })
		for _, want := range []time.Duration{gaveUp, patience, patience} {
			d := took(func() {
				if _, err := c.use(t.Context(), 7); !errors.Is(err, storage.ErrUnavailable) {
					t.Error(err)
				}
			})
			if d != want {
				t.Errorf("it takes %v, want %v", d, want)
			}
		}
		s.set(func() { s.hangs = false })
		time.Sleep(3 * time.Second) // nobody asks meanwhile but the feed
		if c.feed.Silent() {
			t.Error("the store is still silent")
		}
		c.must(t, 7)
	})
}

// A client that goes away says nothing of the store.
func TestARequestThatIsOverIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := silentCache(t, time.Hour, 1)
		s.set(func() { s.hangs = true })
		for _, key := range []int{0, 7} {
			c.lose()
			ctx, cancel := context.WithTimeout(t.Context(), patience/2)
			if _, err := c.use(ctx, key); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		if counts := c.feed.Counts(); c.feed.Silent() || counts.Waited != 0 || counts.Pending != 0 {
			t.Errorf("%+v", counts)
		}
	})
}

// What nobody needs is not read, and so it is no answer of the store.
func TestAKeyThatNobodyNeedsIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := silentCache(t, time.Hour, 2)
		s.set(func() { s.hangs = true })
		c.lose()
		c.must(t, 0)
		before := c.gets.Load()
		_, release := c.attach(t, 1, request{})
		release()
		time.Sleep(time.Second)
		if d := took(func() { c.must(t, 1) }); d != 0 {
			t.Errorf("another use waits for %v", d)
		}
		if n := c.gets.Load() - before; n > 1 { // one of the key that was used
			t.Errorf("%d reads", n)
		}
	})
}
