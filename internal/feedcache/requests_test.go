package feedcache_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/feedcache"
)

// wantOver wants contexts to have ended, or not.
func wantOver(t *testing.T, want bool, requests ...context.Context) {
	t.Helper()
	for i, ctx := range requests {
		if over := context.Cause(ctx) == errEnded; over != want {
			t.Errorf("request %d has ended: %v (%v)", i, over, context.Cause(ctx))
		}
	}
}

func TestARequestEndsWithItsEntryAndWithNoOther(t *testing.T) {
	for name, end := range map[string]func(*cache, *server){
		"a change": func(c *cache, s *server) {
			s.set(func() { delete(s.values, 1) })
			c.change(1)
		},
		"an interruption": func(c *cache, s *server) {
			s.set(func() { delete(s.values, 1) })
			c.lose()
		},
		"an outage": func(c *cache, s *server) {
			s.set(func() { delete(s.values, 1); s.err = errDown })
			c.lose()
			time.Sleep(time.Minute)
			s.set(func() { s.err = nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := silentCache(t, time.Hour, 3)
				one, release := c.attach(t, 1, request{})
				defer release()
				again, release := c.attach(t, 1, request{})
				defer release()
				other, release := c.attach(t, 2, request{})
				defer release()
				end(c, s)
				time.Sleep(time.Second)
				wantOver(t, true, one, again)
				wantOver(t, false, other)
			})
		})
	}
}

// Between the check and the attachment anything may happen.
func TestAnEndBeforeTheAttachmentIsNoticed(t *testing.T) {
	for name, end := range map[string]func(*cache){
		"as told": func(c *cache) { c.change(1) }, "unheard": (*cache).lose,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := silentCache(t, time.Hour, 2)
				s.set(func() { delete(s.values, 1) })
				end(c)
				ctx, release := c.attach(t, 1, request{})
				defer release()
				synctest.Wait()
				wantOver(t, true, ctx)
			})
		})
	}
}

func TestARequestEndsWhenItsGraceIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := silentCache(t, 5*time.Minute, 2)
		ctx, release := c.attach(t, 1, request{})
		defer release()
		patient, release := c.attach(t, 1, request{patient: true})
		defer release()
		s.set(func() { s.hangs = true })
		c.lose()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantOver(t, false, ctx, patient)
		time.Sleep(time.Second)
		synctest.Wait()
		wantOver(t, true, ctx)
		wantOver(t, false, patient)
	})
}

func TestAReleaseConcernsNoOtherRequest(t *testing.T) {
	c := newCache(t, time.Hour)
	c.must(t, 1)
	var releases []func()
	var requests []context.Context
	for range 5 {
		ctx, release := c.attach(t, 1, request{})
		requests, releases = append(requests, ctx), append(releases, release)
	}
	for _, i := range []int{2, 0, 4} { // of the middle, and of both ends of the list
		releases[i]()
	}
	again, release := c.attach(t, 1, request{patient: true}) // in a link that was used before
	defer release()
	releases[2]()
	wantOver(t, false, requests[1], requests[3], again)
	c.feed.Requests.EndIf(1, func(r *request) bool { return !r.patient })
	wantOver(t, true, requests[1], requests[3])
	wantOver(t, false, again)
	c.feed.Requests.EndAll(func(r *request) bool { return r.patient })
	wantOver(t, true, again)
	for _, release := range releases {
		release()
	}
	if keys := c.feed.Requests.Keys(feedcache.Any); len(keys) != 0 {
		t.Errorf("%v still have requests", keys)
	}
}

func TestRequestsMayComeAndGoWhileEntriesEnd(t *testing.T) {
	c, s := silentCache(t, time.Hour, 0)
	for key := range 30 {
		s.set(func() { s.values[key] = "value" })
		c.must(t, key)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				ctx, release := c.attach(t, key, request{})
				<-ctx.Done()
				wantOver(t, true, ctx)
				release()
				release()
			})
			all.Go(func() {
				_, release := c.attach(t, key, request{})
				release()
			})
		}
		all.Go(c.feed.Sweep)
		all.Go(c.lose)
		all.Go(func() {
			s.set(func() { delete(s.values, key) })
			c.change(key)
		})
		all.Wait()
	}
	if keys := c.feed.Requests.Keys(feedcache.Any); len(keys) != 0 {
		t.Errorf("%v still have requests", keys)
	}
}

// An interruption is one read of each key that has requests, however many there are.
func TestManyInterruptionsAreFewReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := silentCache(t, time.Hour, 1)
		_, release := c.attach(t, 0, request{})
		defer release()
		s.set(func() { s.hangs = true })
		before := c.gets.Load()
		for range 1000 {
			c.lose()
			synctest.Wait()
		}
		if n := c.gets.Load() - before; n != 1 {
			t.Errorf("%d reads", n)
		}
	})
}
