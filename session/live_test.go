package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestClass16LogoutRevokesSiteSessionsAndLiveRequestsAtOnce(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		cookie, sso := w.known()
		var sites []string
		for _, client := range []string{"wiki", "forge"} {
			token, err := w.BeginSite(t.Context(), sso, client, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.CheckSite(t.Context(), token.Encode(), client); err != nil {
				t.Fatal(err)
			}
			sites = append(sites, token.Encode())
		}
		var requests []context.Context
		for range 3 {
			ctx, release := w.Attach(t.Context(), sso)
			defer release()
			requests = append(requests, ctx)
		}
		if err := w.End(t.Context(), sso.Key()); err != nil {
			t.Fatal(err)
		}
		for _, ctx := range requests {
			if cause := context.Cause(ctx); cause != session.ErrEnded {
				t.Errorf("a live request outlives End: %v", cause)
			}
		}
		if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
			t.Error("the session outlives End:", err)
		}
		for i, client := range []string{"wiki", "forge"} {
			if _, err := w.CheckSite(t.Context(), sites[i], client); err != session.ErrNone {
				t.Errorf("%s's site session outlives End: %v", client, err)
			}
			if _, ok := w.SiteTransaction(t.Context(), sites[i], client); ok {
				t.Errorf("%s's site session is kept though nothing opens with it", client)
			}
		}
		if err := w.End(t.Context(), sso.Key()); err != nil {
			t.Error("ending what is not there:", err)
		}
	})
}

func TestASessionEndedOnAnotherNodeEndsHere(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		cookie, sso := w.known()
		ctx, release := w.Attach(t.Context(), sso)
		defer release()
		if _, _, err := w.store.Store.Take(t.Context(), w.storeKey(sso)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
			t.Error(err)
		}
		wantEnded(t, ctx)
	})
}

func TestAttachNoticesAnEndThatCameBeforeIt(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.known()
	if err := w.End(t.Context(), sso.Key()); err != nil {
		t.Fatal(err)
	}
	ctx, release := w.Attach(t.Context(), sso)
	defer release()
	wantEnded(t, ctx)
}

func TestARequestIsNotEndedByWhatIsNotAnEnd(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour, OutageGrace: -1})
	cookie, sso := w.known()
	_, other := w.known()
	ctx, release := w.Attach(t.Context(), sso)
	defer release()

	if err := w.End(t.Context(), other.Key()); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(30 * time.Minute)
	w.check(cookie) // extends, so the feed tells of a change
	if n := w.store.swaps.Load(); n != 1 {
		t.Fatalf("%d extensions", n)
	}
	w.cache.Sweep()
	w.store.lose()
	w.cache.Sweep()
	eventually(t, "all is read again", w.cache.Settled)
	w.cache.Sweep()
	w.check(cookie)
	if err := ctx.Err(); err != nil {
		t.Error(err)
	}
}

func TestAReleasedRequestIsForgotten(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.known()
	var releases []func()
	var requests []context.Context
	for range 5 {
		ctx, release := w.Attach(t.Context(), sso)
		requests, releases = append(requests, ctx), append(releases, release)
	}
	for _, i := range []int{2, 0, 4} { // the middle, the last and the first of the list
		releases[i]()
		if cause := context.Cause(requests[i]); cause != context.Canceled {
			t.Errorf("released, but %v", cause)
		}
	}
	for _, i := range []int{1, 3} {
		if err := requests[i].Err(); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	// A second release, when the link is long in use again, harms nobody.
	again, releaseAgain := w.Attach(t.Context(), sso)
	defer releaseAgain()
	releases[2]()
	if err := w.End(t.Context(), sso.Key()); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{requests[1], requests[3], again} {
		if cause := context.Cause(ctx); cause != session.ErrEnded {
			t.Errorf("not ended: %v", cause)
		}
	}
	for _, release := range releases {
		release()
	}
	if n := w.cache.Live(); n != 0 {
		t.Errorf("%d sessions still have live requests", n)
	}
}

func TestTheParentsEndEndsTheRequest(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.known()
	parent, cancel := context.WithCancelCause(t.Context())
	ctx, release := w.Attach(parent, sso)
	defer release()
	gone := errors.New("client gone")
	cancel(gone)
	if cause := context.Cause(ctx); cause != gone {
		t.Error(cause)
	}
}

func TestEvictionLosesNoLiveRequest(t *testing.T) {
	c := newClock()
	w := newWorld(t, session.Policy{})
	tiny := session.NewCache(w.store, session.CacheOptions{Capacity: 1, Now: c.Now})
	defer tiny.Close()
	w.Sessions = session.New(tiny, session.Policy{})
	_, sso := w.known()
	ctx, release := w.Attach(t.Context(), sso)
	defer release()
	for range 500 {
		w.known()
	}
	if _, _, err := w.store.Store.Take(t.Context(), w.storeKey(sso)); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, ctx)
}

func TestALiveRequestKeepsItsSessionFromIdling(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour, Lifetime: 24 * time.Hour})
	cookie, sso := w.known()
	ctx, release := w.Attach(t.Context(), sso)
	for i := range 20 {
		w.clock.Advance(15 * time.Minute)
		eventually(t, "the session is extended", func() bool {
			w.cache.Sweep() // the extension before may not be in memory yet
			return w.store.swaps.Load() > int64(i)
		})
	}
	w.check(cookie)
	if err := ctx.Err(); err != nil {
		t.Fatal(err)
	}
	release()
	w.clock.Advance(time.Hour)
	w.cache.Sweep()
	if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
		t.Error("kept though its request is over:", err)
	}
}

func TestTheAbsoluteEndClosesALiveRequestByThePolicyItCameWith(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour, Lifetime: 2 * time.Hour})
	_, sso := w.known()
	long, releaseLong := w.Attach(t.Context(), sso)
	defer releaseLong()
	strict := session.New(w.cache, session.Policy{Idle: time.Hour, Lifetime: 30 * time.Minute})
	short, releaseShort := strict.Attach(t.Context(), sso)
	defer releaseShort()

	w.clock.Advance(30 * time.Minute)
	w.cache.Sweep()
	if cause := context.Cause(short); cause != session.ErrEnded {
		t.Errorf("past the stricter end: %v", cause)
	}
	if err := long.Err(); err != nil {
		t.Errorf("before its own end: %v", err)
	}
	eventually(t, "the session is extended", func() bool { return w.store.swaps.Load() > 0 })
	w.clock.Advance(90 * time.Minute)
	w.cache.Sweep()
	if cause := context.Cause(long); cause != session.ErrEnded {
		t.Errorf("past its end: %v", cause)
	}
}

func TestTheTickerSweepsByItself(t *testing.T) {
	w := newWorld(t, session.Policy{Lifetime: time.Hour})
	_, sso := w.known()
	ctx, release := w.Attach(t.Context(), sso)
	defer release()
	w.clock.Advance(time.Hour)
	wantEnded(t, ctx)
}

func TestEndRetriesWhileTheStoreDoesNotAnswer(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cookie, sso := w.known()
	w.store.failNextTakes(2)
	if err := w.End(t.Context(), sso.Key()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
		t.Error(err)
	}
}

func TestAnEndThatFailsIsAnErrorAndStillClosesWhatIsHere(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cookie, sso := w.known()
	ctx, release := w.Attach(t.Context(), sso)
	defer release()
	w.store.down.Store(true)
	bounded, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := w.End(bounded, sso.Key()); !errors.Is(err, storage.ErrUnavailable) {
		t.Error(err)
	}
	if cause := context.Cause(ctx); cause != session.ErrEnded {
		t.Error(cause)
	}
	if _, err := w.Check(t.Context(), cookie); !errors.Is(err, storage.ErrUnavailable) {
		t.Error(err)
	}
}

func TestAttachReleaseAndEndMayRace(t *testing.T) {
	w := newWorld(t, session.Policy{})
	for range 20 {
		_, sso := w.known()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				ctx, release := w.Attach(t.Context(), sso)
				<-ctx.Done()
				if cause := context.Cause(ctx); cause != session.ErrEnded {
					t.Error(cause)
				}
				release()
				release()
			})
			wg.Go(func() {
				_, release := w.Attach(t.Context(), sso)
				release()
			})
		}
		wg.Go(w.cache.Sweep)
		wg.Go(w.store.lose)
		wg.Go(func() {
			if err := w.End(t.Context(), sso.Key()); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
	if n := w.cache.Live(); n != 0 {
		t.Errorf("%d sessions still have live requests", n)
	}
}
