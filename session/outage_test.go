package session_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestAnUnknownTokenDuringAnOutageIsNotNone(t *testing.T) {
	w := newWorld(t, session.Policy{})
	w.store.down.Store(true)
	unknown := session.Token{9}
	_, err := w.Check(t.Context(), unknown.Encode())
	_, siteErr := w.CheckSite(t.Context(), unknown.Encode(), "wiki")
	_, keyErr := w.Lookup(t.Context(), unknown.Key())
	for _, err := range []error{err, siteErr, keyErr} {
		if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, session.ErrNone) {
			t.Error(err)
		}
	}
}

func TestAClosedStoreIsAnOutage(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cookie, _ := w.begin()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Check(t.Context(), cookie); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, storage.ErrClosed) {
		t.Error(err)
	}
}

func TestAKnownSessionNeedsNoStore(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: 24 * time.Hour})
	cookie, _ := w.known()
	w.store.down.Store(true)
	w.clock.Advance(time.Hour)
	w.check(cookie)
}

func TestAfterALossTheStoreIsFollowed(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cookie, sso := w.known()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	checkSite := func() error {
		_, err := w.CheckSite(t.Context(), site.Encode(), "wiki")
		return err
	}
	if err := checkSite(); err != nil {
		t.Fatal(err)
	}
	w.store.lose()
	before := w.store.gets.Load()
	if err := checkSite(); err != nil {
		t.Error(err)
	}
	if n := w.store.gets.Load() - before; n != 2 {
		t.Errorf("%d reads, not one each", n)
	}
	w.check(cookie)
	if n := w.store.gets.Load() - before; n != 2 {
		t.Error("what was verified is read again")
	}

	t.Run("and a session that ended unheard is none", func(t *testing.T) {
		w.store.mute.Store(true)
		if _, _, err := w.store.Take(t.Context(), w.storeKey(sso)); err != nil {
			t.Fatal(err)
		}
		w.check(cookie) // nobody has told yet
		w.store.lose()
		for range 2 {
			if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
				t.Error(err)
			}
		}
		if err := checkSite(); err != session.ErrNone {
			t.Error(err)
		}
	})
}

func TestAnOutageSignsNobodyOutWithinItsGrace(t *testing.T) {
	w := newWorld(t, session.Policy{OutageGrace: 5 * time.Minute})
	cookie, sso := w.known()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	checks := func() [2]error {
		_, err := w.Check(t.Context(), cookie)
		_, siteErr := w.CheckSite(t.Context(), site.Encode(), "wiki")
		return [2]error{err, siteErr}
	}
	if errs := checks(); errs != [2]error{} {
		t.Fatal(errs)
	}
	w.store.down.Store(true)
	w.store.lose()
	for range 5 {
		if errs := checks(); errs != [2]error{} {
			t.Fatal("signed out within the grace:", errs)
		}
		w.clock.Advance(time.Minute)
		w.store.lose() // as each attempt to connect may; it buys no time
	}
	if errs := checks(); errs != [2]error{} {
		t.Fatal("signed out at the end of the grace:", errs)
	}
	w.clock.Advance(time.Millisecond)
	for _, err := range checks() {
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Error("past the grace:", err)
		}
	}
	w.store.down.Store(false)
	if errs := checks(); errs != [2]error{} {
		t.Error("the store is back, the session is not:", errs)
	}
}

// Each attempt to connect may interrupt the feed once more. However often that is,
// the grace counts from the first.
func TestManyInterruptionsTakeNoTimeOffTheGrace(t *testing.T) {
	for name, between := range map[string]time.Duration{"in a second": 100 * time.Microsecond, "in an hour": time.Second} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, session.Policy{OutageGrace: 3 * time.Hour})
			cookie, _ := w.known()
			w.store.down.Store(true)
			began := w.clock.Now()
			for i := range 6000 {
				w.store.lose()
				if i%10 == 9 {
					w.clock.Advance(10 * between)
				}
			}
			w.check(cookie)
			w.clock.Advance(3*time.Hour - w.clock.Now().Sub(began))
			w.check(cookie)
			w.clock.Advance(time.Millisecond)
			if _, err := w.Check(t.Context(), cookie); !errors.Is(err, storage.ErrUnavailable) {
				t.Error("past the grace:", err)
			}
		})
	}
}

func TestWithoutAGraceAnOutageIsAnErrorAtOnce(t *testing.T) {
	w := newWorld(t, session.Policy{OutageGrace: -1})
	cookie, _ := w.known()
	w.store.down.Store(true)
	w.store.lose()
	if _, err := w.Check(t.Context(), cookie); !errors.Is(err, storage.ErrUnavailable) {
		t.Error(err)
	}
}

func TestAnUnverifiedSessionStillExpires(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: 2 * time.Minute})
	cookie, _ := w.known()
	w.store.down.Store(true)
	w.store.lose()
	w.clock.Advance(2 * time.Minute)
	if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
		t.Error(err)
	}
}

func TestLiveRequestsAreVerifiedAfterALoss(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, ended := w.known()
	_, goesOn := w.known()
	endedCtx, release := w.Attach(t.Context(), ended)
	defer release()
	goesOnCtx, release := w.Attach(t.Context(), goesOn)
	defer release()
	w.store.mute.Store(true)
	if _, _, err := w.store.Take(t.Context(), w.storeKey(ended)); err != nil {
		t.Fatal(err)
	}
	w.store.down.Store(true)
	w.store.lose()
	w.clock.Advance(time.Minute)
	w.cache.Sweep()
	if err := endedCtx.Err(); err != nil {
		t.Error("ended before the store has answered:", err)
	}
	w.store.down.Store(false)
	wantEnded(t, endedCtx)
	if err := goesOnCtx.Err(); err != nil {
		t.Error(err)
	}
}

func TestLiveRequestsEndWhenTheOutageOutlastsTheirGrace(t *testing.T) {
	w := newWorld(t, session.Policy{OutageGrace: 5 * time.Minute})
	_, sso := w.known()
	ctx, release := w.Attach(t.Context(), sso)
	defer release()
	patient := session.New(w.cache, session.Policy{OutageGrace: time.Hour})
	patientCtx, release := patient.Attach(t.Context(), sso)
	defer release()
	w.store.down.Store(true)
	w.store.lose()
	before := w.store.gets.Load()
	eventually(t, "the store is asked again and again", func() bool { return w.store.gets.Load() >= before+3 })
	w.clock.Advance(5 * time.Minute)
	w.cache.Sweep()
	if err := ctx.Err(); err != nil {
		t.Error("ended within the grace:", err)
	}
	w.clock.Advance(time.Second)
	w.cache.Sweep()
	wantEnded(t, ctx)
	if err := patientCtx.Err(); err != nil {
		t.Error("ended within its own grace:", err)
	}
}

// A store that is full answers reads: what it cannot write down ends nothing.
func TestLiveRequestsGoOnWhileTheirUseCannotBeWrittenDown(t *testing.T) {
	w := newWorld(t, session.Policy{Idle: time.Hour, OutageGrace: 5 * time.Minute})
	_, sso := w.known()
	unknown, _ := w.begin()
	ctx, release := w.Attach(t.Context(), sso)
	defer release()
	w.store.full.Store(true)
	w.clock.Advance(10 * time.Minute)
	w.store.lose()
	before := w.store.gets.Load()
	eventually(t, "the session is read", func() bool { return w.store.gets.Load() > before })
	for range 10 {
		w.clock.Advance(time.Minute)
		w.cache.Sweep()
		eventually(t, "nothing is to be read", func() bool { return w.cache.Counts().Pending == 0 })
	}
	if err := ctx.Err(); err != nil {
		t.Error("ended although the store has its session:", err)
	}
	w.check(unknown)
	w.store.full.Store(false)
	w.clock.Advance(time.Minute)
	w.cache.Sweep()
	eventually(t, "the use is written down", func() bool { return w.store.swaps.Load() > 0 })
}

func TestARequestThatAttachesDuringAnOutageIsVerifiedToo(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cookie, sso := w.known()
	w.store.mute.Store(true)
	if _, _, err := w.store.Take(t.Context(), w.storeKey(sso)); err != nil {
		t.Fatal(err)
	}
	w.store.down.Store(true)
	w.store.lose()
	ctx, release := w.Attach(t.Context(), w.check(cookie))
	defer release()
	w.store.down.Store(false)
	wantEnded(t, ctx)
}

func TestManyLossesAreOneResync(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.known()
	_, release := w.Attach(t.Context(), sso)
	defer release()
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.store.onGet(func(string) { once.Do(func() { close(reached); <-goOn }) })
	before := w.store.gets.Load()
	w.store.lose()
	<-reached
	for range 1000 {
		w.store.lose()
	}
	close(goOn)
	eventually(t, "the session is read once more", func() bool { return w.store.gets.Load() >= before+2 })
	// While the workers walk, losses may come between their walks; but a
	// thousand losses are never a thousand reads.
	if n := w.store.gets.Load() - before; n > 100 {
		t.Errorf("%d reads", n)
	}
}

// A value read before a change must not enter the cache after it.
func TestAReadThatRacesWithAChangeIsNotKept(t *testing.T) {
	for name, change := range map[string]func(w *world, s *session.Session){
		"an end": func(w *world, s *session.Session) {
			if err := w.End(w.t.Context(), s.Key()); err != nil {
				w.t.Error(err)
			}
		},
		"an end on another node": func(w *world, s *session.Session) {
			if _, _, err := w.store.Store.Take(w.t.Context(), w.storeKey(s)); err != nil {
				w.t.Error(err)
			}
		},
		"a loss of the feed": func(w *world, s *session.Session) {
			w.store.mute.Store(true)
			if _, _, err := w.store.Store.Take(w.t.Context(), w.storeKey(s)); err != nil {
				w.t.Error(err)
			}
			w.store.lose()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, session.Policy{})
			cookie, s := w.begin()
			var once sync.Once
			w.store.onGet(func(string) { once.Do(func() { change(w, s) }) })
			// This check began when the session was there.
			if _, err := w.Check(t.Context(), cookie); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
				t.Error("what was read before the change was kept:", err)
			}
		})
	}
}

func TestASiteSessionThatEndedUnheardIsNoneAfterALoss(t *testing.T) {
	w := newWorld(t, session.Policy{})
	_, sso := w.begin()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != nil {
		t.Fatal(err)
	}
	w.store.mute.Store(true)
	if err := endSiteElsewhere(w, site); err != nil {
		t.Fatal(err)
	}
	w.store.lose()
	if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != session.ErrNone {
		t.Error(err)
	}
}

func endSiteElsewhere(w *world, site session.Token) error {
	other := session.NewCache(w.store.Store, session.CacheOptions{Now: w.clock.Now})
	defer other.Close()
	return session.New(other, session.Policy{}).EndSite(w.t.Context(), site.Encode())
}
