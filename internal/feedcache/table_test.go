package feedcache_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAValueThatWasReadBeforeAChangeIsNotKept(t *testing.T) {
	c := newCache(t, time.Hour)
	c.get = func(context.Context, int) (*string, error) {
		if c.gets.Load() == 1 {
			c.change(1)
			return new("old"), nil
		}
		return new("new"), nil
	}
	for _, want := range []string{"old", "new", "new"} {
		if got := c.must(t, 1); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n := c.gets.Load(); n != 2 {
		t.Errorf("%d reads", n)
	}
}

func TestAValueThatWasReadBeforeAnInterruptionIsUnverified(t *testing.T) {
	c := newCache(t, time.Hour)
	c.get = func(context.Context, int) (*string, error) {
		if c.gets.Load() == 1 {
			c.lose()
		}
		return new("value"), nil
	}
	for _, want := range []int64{1, 2, 2} {
		c.must(t, 1)
		if n := c.gets.Load(); n != want {
			t.Errorf("%d reads, want %d", n, want)
		}
	}
}

// Anybody can send keys that are none. They keep nothing else out of the table.
func TestAnUnknownKeyKeepsNoOtherOut(t *testing.T) {
	c := newCache(t, time.Hour)
	c.get = func(ctx context.Context, key int) (*string, error) {
		if key != 1 {
			return nil, errNone
		}
		if _, err := c.use(ctx, 65); err != errNone { // of the same shard
			t.Error(err)
		}
		return new("value"), nil
	}
	c.must(t, 1)
	before := c.gets.Load()
	if c.must(t, 1); c.gets.Load() != before {
		t.Error("the value was not kept")
	}
}

func TestAValueThatIsGoneIsForgotten(t *testing.T) {
	c := newCache(t, time.Hour)
	c.must(t, 1)
	c.get = func(context.Context, int) (*string, error) { return nil, errNone }
	c.lose()
	for range 2 {
		if _, err := c.use(t.Context(), 1); err != errNone {
			t.Error(err)
		}
	}
	if n := c.table.Len(); n != 0 {
		t.Errorf("%d values are kept", n)
	}
}

func TestTheTableIsBounded(t *testing.T) {
	c := sizedCache(t, time.Hour, 64)
	ctx, release := c.attach(t, 1, request{})
	defer release()
	for key := range 1000 {
		c.must(t, key)
	}
	if n := c.table.Len(); n != 64 {
		t.Errorf("%d values are kept", n)
	}
	if ctx.Err() != nil || !c.feed.Requests.Has(1) {
		t.Error("eviction has ended a request")
	}
	if v := c.table.Find(999%64, func(v *string) bool { return *v == "value" }); v == nil {
		t.Error("none is found")
	}
	if v := c.table.Find(999%64, func(v *string) bool { return *v == "other" }); v != nil {
		t.Errorf("%q is found", *v)
	}
}

// Every connection that ends is an interruption, and they end together. Something may
// have been read between any two of them.
func TestOfInterruptionsAtOnceNoneIsLost(t *testing.T) {
	c := newCache(t, time.Hour)
	for range 2000 {
		var all sync.WaitGroup
		for range 3 {
			all.Go(c.lose)
			all.Go(func() { c.must(t, 1) })
		}
		all.Wait()
		c.lose()
		before := c.gets.Load()
		if c.must(t, 1); c.gets.Load() == before {
			t.Fatal("what was read before an interruption is believed")
		}
	}
}

// Readers never see less than what they were told of before they asked.
func TestNobodySeesWhatWasOverBeforeTheyAsked(t *testing.T) {
	c := newCache(t, time.Hour)
	var stored, told [4]atomic.Int64
	c.get = func(_ context.Context, key int) (*string, error) {
		return new(string(rune(stored[key].Load()))), nil
	}
	stop := make(chan struct{})
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			key := i % len(stored)
			n := stored[key].Add(1)
			if i%7 == 0 {
				c.lose()
			} else {
				c.change(key)
			}
			told[key].Store(n)
		}
	})
	for key := range stored {
		for range 2 {
			readers.Go(func() {
				for range 3000 {
					least := told[key].Load()
					if got := int64([]rune(c.must(t, key))[0]); got < least {
						t.Errorf("%d, though %d was told", got, least)
						return
					}
				}
			})
		}
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}

func TestSinceTellsWhatIsUnverified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, time.Hour)
		c.must(t, 1)
		c.lose()
		if since := c.table.Since(1); since != time.Now().UnixMilli() {
			t.Errorf("unverified since %d", since)
		}
		if since := c.table.Since(2); since != time.Now().UnixMilli() {
			t.Errorf("what is not known is unverified since %d", since)
		}
		c.must(t, 1)
		if since := c.table.Since(1); since != 0 {
			t.Errorf("what was read again is unverified since %d", since)
		}
	})
}
