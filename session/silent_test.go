package session_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// silentWorld is one whose requests hardly wait, with a session and a site
// session that are known.
func silentWorld(t *testing.T, p session.Policy) (w *world, cookie, site string, sso *session.Session) {
	t.Helper()
	c := newClock()
	w = patientWorld(t, p, c, memory.New(memory.Options{Now: c.Now}), time.Millisecond)
	cookie, sso = w.known()
	token, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	site = token.Encode()
	if _, err := w.CheckSite(t.Context(), site, "wiki"); err != nil {
		t.Fatal(err)
	}
	return w, cookie, site, sso
}

// Once one request has met the silence, no other asks the store.
func TestNobodyWhoIsKnownWaitsForASilentStore(t *testing.T) {
	w, cookie, site, _ := silentWorld(t, session.Policy{OutageGrace: time.Hour})
	w.store.hangs.Store(true)
	w.store.lose()
	var asked atomic.Int64
	ctx := context.WithValue(t.Context(), waits{}, &asked)
	for range 100 {
		if _, err := w.Check(ctx, cookie); err != nil {
			t.Fatal("signed out:", err)
		}
		if _, err := w.CheckSite(ctx, site, "wiki"); err != nil {
			t.Fatal("signed out at a site:", err)
		}
	}
	if n := asked.Load(); n > 2 {
		t.Errorf("requests asked the store %d times; want once for the session and once for the site session", n)
	}
	unknown := session.Token{9}
	if _, err := w.Check(boundedBy(t, time.Millisecond), unknown.Encode()); !errors.Is(err, storage.ErrUnavailable) {
		t.Error("an unknown session is", err)
	}
}

func boundedBy(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// What ended unheard is noticed when the store answers, without another use.
func TestWhatEndedDuringASilenceIsNoticedWhenTheStoreAnswers(t *testing.T) {
	w, cookie, site, sso := silentWorld(t, session.Policy{OutageGrace: time.Hour})
	w.store.mute.Store(true)
	if err := w.store.Store.Put(t.Context(), "other", []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.store.Store.Take(t.Context(), w.storeKey(sso)); err != nil {
		t.Fatal(err)
	}
	w.store.down.Store(true)
	w.store.lose()
	w.check(cookie)
	if _, err := w.CheckSite(t.Context(), site, "wiki"); err != nil {
		t.Fatal(err)
	}
	w.store.down.Store(false)
	eventually(t, "all was read again", w.cache.Settled)
	if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
		t.Error("the session goes on:", err)
	}
	if _, err := w.CheckSite(t.Context(), site, "wiki"); err != session.ErrNone {
		t.Error("the site session goes on:", err)
	}
}

// The grace counts from the interruption, however often the store is asked.
func TestAFailedRecheckBuysNoTime(t *testing.T) {
	w, cookie, _, _ := silentWorld(t, session.Policy{OutageGrace: 5 * time.Minute})
	w.store.down.Store(true)
	w.store.lose()
	for range 5 {
		w.check(cookie)
		w.clock.Advance(time.Minute)
	}
	w.check(cookie)
	w.clock.Advance(time.Millisecond)
	if _, err := w.Check(t.Context(), cookie); !errors.Is(err, storage.ErrUnavailable) {
		t.Error("past the grace:", err)
	}
}

// Writing down that a session is in use holds nobody up.
func TestAUseThatCannotBeWrittenDownHoldsNobodyUp(t *testing.T) {
	w, cookie, _, _ := silentWorld(t, session.Policy{Idle: time.Hour})
	w.clock.Advance(10 * time.Minute)
	w.store.hangs.Store(true)
	w.check(cookie)
	if n := w.store.hanging.Load(); n != 1 {
		t.Errorf("the check came back with %d running calls of the store; want the one that it began", n)
	}
	eventually(t, "it gives up", func() bool { return w.store.hanging.Load() == 0 })
}

// A user clicks all the time while nothing can be written down for longer than
// the idle time. They are in, and are in afterwards, at the sites as well.
func TestAUserWhoIsActiveInAnOutageIsNotIdle(t *testing.T) {
	w, cookie, site, sso := silentWorld(t, session.Policy{Idle: 2 * time.Minute, OutageGrace: 10 * time.Minute})
	checks := func(when string) {
		t.Helper()
		if _, err := w.Check(t.Context(), cookie); err != nil {
			t.Fatal(when, err)
		}
		if _, err := w.CheckSite(t.Context(), site, "wiki"); err != nil {
			t.Fatal(when, "at the site:", err)
		}
	}
	w.store.down.Store(true)
	w.store.lose()
	for range 16 {
		w.clock.Advance(30 * time.Second)
		checks("in the outage:")
	}
	w.store.down.Store(false)
	w.store.lose() // as the store says when it is back
	eventually(t, "all was read again", w.cache.Settled)
	w.clock.Advance(30 * time.Second)
	checks("after it:")
	w.clock.Advance(time.Minute) // and so it was written down
	eventually(t, "the use was written down", func() bool {
		w.check(cookie)
		return w.stored(t, "session:") == 1 && w.stored(t, "site:") == 1
	})

	t.Run("a user who is not active is", func(t *testing.T) {
		w.clock.Advance(2 * time.Minute)
		if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
			t.Error(err)
		}
		if _, err := w.CheckSite(t.Context(), site, "wiki"); err != session.ErrNone {
			t.Error(err)
		}
		if n := w.stored(t, "site:"); n != 1 {
			t.Error("a site session was removed whose session is stored")
		}
		if err := w.End(t.Context(), sso.Key()); err != nil {
			t.Fatal(err)
		}
	})
}

// distant is a store whose answers take longer than a request waits for what is
// known, and that gives them to all waiting requests.
type distant struct{ storage.Store }

func (d distant) Get(ctx context.Context, key string) ([]byte, bool, error) {
	select {
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return d.Store.Get(ctx, key)
	}
}

func distantWorld(t *testing.T) *world {
	c := newClock()
	return patientWorld(t, session.Policy{OutageGrace: time.Hour}, c, distant{memory.New(memory.Options{Now: c.Now})}, time.Millisecond)
}

// A request that goes on by what is known does not make the store one that is
// away for those who are not known.
func TestAStoreThatIsSlowIsNotTakenForSilent(t *testing.T) {
	w := distantWorld(t)
	cookie, _ := w.known()
	for range 10 {
		w.store.lose()
		w.check(cookie)
		unknown := session.Token{9}
		if _, err := w.Check(t.Context(), unknown.Encode()); !errors.Is(err, session.ErrNone) {
			t.Fatal("an unknown session is", err)
		}
		eventually(t, "all was read again", w.cache.Settled)
	}
}

// Requests that leave the store no time do not keep it from being found to answer.
func TestRequestsThatHardlyWaitDoNotKeepTheStoreAway(t *testing.T) {
	w := distantWorld(t)
	w.store.down.Store(true)
	unknown := session.Token{9}
	if _, err := w.Check(t.Context(), unknown.Encode()); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatal(err)
	}
	w.store.down.Store(false)
	var answered atomic.Int64 // one after the other
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := w.Check(ctx, unknown.Encode()); errors.Is(err, session.ErrNone) {
					answered.Add(1)
				} else {
					answered.Store(0)
				}
			}
		})
	}
	eventually(t, "everybody is answered", func() bool { return answered.Load() > 100 })
	stop()
	all.Wait()
}
