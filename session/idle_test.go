package session_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestASessionIdlesOutUnlessItIsUsed(t *testing.T) {
	onEngines(t, session.Policy{Idle: time.Hour, Lifetime: 24 * time.Hour}, func(t *testing.T, w *world) {
		cookie, _ := w.known()
		for range 10 {
			w.clock.Advance(50 * time.Minute)
			w.check(cookie)
		}
		w.clock.Advance(time.Hour)
		if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
			t.Error("an idle session is valid:", err)
		}
	})
}

func TestALongerIdleTimeHoldsForSessionsThatAreInUse(t *testing.T) {
	onEngines(t, session.Policy{Idle: time.Hour}, func(t *testing.T, w *world) {
		cookie, _ := w.known()
		// As after a reload: what was stored for an hour is to last a day, of
		// which a tenth is longer than that hour.
		w.Sessions = session.New(w.cache, session.Policy{Idle: 24 * time.Hour})
		for range 18 {
			w.clock.Advance(10 * time.Minute)
			w.check(cookie)
		}
		w.clock.Advance(23 * time.Hour)
		w.check(cookie)
	})
}

func TestALongerIdleTimeHoldsForAConnectionThatStaysOpen(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	cookie, _ := w.known()
	w.Sessions = session.New(w.cache, session.Policy{Idle: 24 * time.Hour})
	ctx, release := w.Attach(t.Context(), w.check(cookie))
	defer release()
	for range 18 {
		w.clock.Advance(10 * time.Minute)
		w.cache.Sweep()
		eventually(t, "the session was read again", w.cache.Settled)
	}
	w.check(cookie)
	if err := ctx.Err(); err != nil {
		t.Error("the connection was closed:", context.Cause(ctx))
	}
}

func TestASessionEndsAtItsLifetimeHoweverMuchItIsUsed(t *testing.T) {
	onEngines(t, session.Policy{Idle: time.Hour, Lifetime: 3 * time.Hour}, func(t *testing.T, w *world) {
		cookie, _ := w.known()
		for range 5 {
			w.clock.Advance(30 * time.Minute)
			w.check(cookie)
		}
		w.clock.Advance(30*time.Minute - time.Millisecond)
		w.check(cookie)
		w.clock.Advance(time.Millisecond)
		if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
			t.Error("valid past its lifetime:", err)
		}
	})
}

func TestTheStoreForgetsWhatIdledOut(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	cookie, s := w.known()
	stored := func() bool {
		_, ok, err := w.store.Store.Get(t.Context(), w.storeKey(s))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	w.clock.Advance(50 * time.Minute)
	w.check(cookie)
	w.clock.Advance(50 * time.Minute)
	if !stored() {
		t.Error("forgotten although it was used")
	}
	w.clock.Advance(17 * time.Minute)
	if stored() {
		t.Error("kept past its idle time, and the time of an outage")
	}
}

func TestAUseIsWrittenDownAtMostOncePerTenth(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: 100 * time.Minute})
	cookie, _ := w.known()
	for range 59 { // minutes
		w.clock.Advance(time.Minute)
		w.check(cookie)
	}
	if n := w.store.swaps.Load(); n != 5 {
		t.Errorf("%d writes in 59 minutes, not 5", n)
	}
}

func TestManyThatExtendAtOnceWriteOnce(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	// Two caches are two nodes: no memory in common keeps them from it.
	other := session.NewCache(w.store.Store, session.CacheOptions{Now: w.clock.Now})
	defer other.Close()
	node := session.New(other, session.Policy{Idle: time.Hour})
	cookie, _ := w.known()
	w.clock.Advance(30 * time.Minute)

	writes := 0
	var mu sync.Mutex
	stop := w.store.Store.Watch(func(storage.Change) { mu.Lock(); writes++; mu.Unlock() })
	var wg sync.WaitGroup
	for _, s := range []*session.Sessions{w.Sessions, node} {
		for range 16 {
			wg.Go(func() {
				if _, err := s.Check(t.Context(), cookie); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	stop()
	if writes != 1 {
		t.Errorf("%d writes", writes)
	}
}

func TestAnExtensionThatFailsFailsNoCheck(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	cookie, _ := w.known()
	w.store.down.Store(true)
	w.clock.Advance(30 * time.Minute)
	w.check(cookie)
	before := w.store.gets.Load()
	w.check(cookie)
	if n := w.store.gets.Load() - before; n != 0 {
		t.Error("every request tries again")
	}
	if w.logs.Load() != 1 {
		t.Errorf("told %d times", w.logs.Load())
	}
	w.store.down.Store(false)
	w.clock.Advance(2 * time.Minute)
	w.check(cookie)
	if n := w.store.swaps.Load(); n != 1 {
		t.Errorf("%d writes once the store answers", n)
	}
}

func TestARequestThatIsCancelledStillExtends(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	cookie, _ := w.known()
	w.clock.Advance(30 * time.Minute)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Check(cancelled, cookie); err != nil {
		t.Fatal(err)
	}
	if n := w.store.swaps.Load(); n != 1 {
		t.Errorf("%d writes", n)
	}
}

func TestExtendingNeverBringsBackAnEndedSession(t *testing.T) {
	onEngines(t, session.Policy{Idle: time.Hour}, func(t *testing.T, w *world) {
		cookie, s := w.known()
		w.clock.Advance(30 * time.Minute)
		reached, goOn := make(chan struct{}), make(chan struct{})
		w.store.onCAS(func(string) { close(reached); <-goOn })
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = w.Check(t.Context(), cookie) })
		<-reached // the extension has read the session, and is about to write
		if err := w.End(t.Context(), s.Key()); err != nil {
			t.Fatal(err)
		}
		close(goOn)
		wg.Wait()
		w.store.onCAS(nil)
		if _, ok, err := w.store.Get(t.Context(), w.storeKey(s)); ok || err != nil {
			t.Error("the session is back", err)
		}
		if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
			t.Error("the session is valid:", err)
		}
		if w.store.swaps.Load() != 0 {
			t.Error("the extension wrote")
		}
	})
}

func TestAnExtensionThatFindsTheSessionGoneSaysSo(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	cookie, s := w.known()
	w.store.mute.Store(true)
	if _, _, err := w.store.Take(t.Context(), w.storeKey(s)); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(30 * time.Minute)
	if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
		t.Error(err)
	}
}

func TestAStricterPolicyTakesEffectAtOnce(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: 10 * time.Hour, Lifetime: 20 * time.Hour})
	cookie, sso := w.known()
	w.clock.Advance(30 * time.Minute)
	w.check(cookie)

	for name, p := range map[string]session.Policy{
		"idle":     {Idle: 10 * time.Minute, Lifetime: 20 * time.Hour},
		"lifetime": {Idle: 10 * time.Hour, Lifetime: 30 * time.Minute},
	} {
		strict := session.New(w.cache, p)
		if _, err := strict.Check(t.Context(), cookie); err != session.ErrNone {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := strict.Find(t.Context(), sso.ID()); err == nil {
			t.Errorf("%s: found all the same", name)
		}
	}
	w.check(cookie)
	longer := session.New(w.cache, session.Policy{Idle: 100 * time.Hour, Lifetime: 100 * time.Hour})
	w.clock.Advance(9 * time.Hour)
	w.check(cookie)
	w.clock.Advance(9 * time.Hour)
	if _, err := longer.Check(t.Context(), cookie); err != nil {
		t.Error("not valid within its lifetime:", err)
	}
	w.clock.Advance(90 * time.Minute)
	if _, err := longer.Check(t.Context(), cookie); err != session.ErrNone {
		t.Error("a longer lifetime holds for a session that has begun:", err)
	}
}

func TestAnExtensionByAnotherNodeIsAdopted(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour})
	cookie, _ := w.known()
	other := session.NewCache(w.store.Store, session.CacheOptions{Now: w.clock.Now})
	defer other.Close()
	w.store.mute.Store(true)
	w.clock.Advance(30 * time.Minute)
	if _, err := session.New(other, session.Policy{Idle: time.Hour}).Check(t.Context(), cookie); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	w.check(cookie)
	if n := w.store.swaps.Load(); n != 0 {
		t.Error("written again")
	}
	w.clock.Advance(50 * time.Minute) // past the idle time since this node's own last write
	w.check(cookie)
}

func TestThePolicyDefaults(t *testing.T) {
	for name, p := range map[string]session.Policy{
		"zero":     {},
		"negative": {Idle: -1, Lifetime: -1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, p)
			cookie, s := w.known()
			if got := s.Expires().Sub(s.Begun()); got != 30*24*time.Hour {
				t.Errorf("the lifetime is %v", got)
			}
			w.clock.Advance(24*time.Hour - time.Millisecond)
			if _, err := w.Find(t.Context(), s.ID()); err != nil {
				t.Error("idle too soon:", err)
			}
			w.clock.Advance(time.Millisecond)
			if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
				t.Error("idle too late:", err)
			}
		})
	}
}
