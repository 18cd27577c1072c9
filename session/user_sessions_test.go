package session_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// ids are those of Ada's sessions, the newest first.
func (w *world) ids() []string {
	w.t.Helper()
	all, err := w.OfUser(w.t.Context(), ada.Subject)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, s := range all {
		ids = append(ids, s.ID())
	}
	return ids
}

// wantIDs wants Ada's sessions to be these, and no other in the store.
func (w *world) wantIDs(ids ...string) {
	w.t.Helper()
	if got := w.ids(); !slices.Equal(got, ids) {
		w.t.Errorf("the sessions are %v, not %v", got, ids)
	}
	if got := w.stored(w.t, "session:"); got != len(ids) {
		w.t.Errorf("%d sessions are stored, not %d", got, len(ids))
	}
}

func (w *world) signedIn(cookie string) bool {
	w.t.Helper()
	_, err := w.Check(w.t.Context(), cookie)
	if err != nil && !errors.Is(err, session.ErrNone) {
		w.t.Fatal(err)
	}
	return err == nil
}

func TestClass24AUserHasABoundedNumberOfSessions(t *testing.T) {
	onEngines(t, session.Policy{PerUser: 3}, func(t *testing.T, w *world) {
		cookie, oldest := w.known()
		site, err := w.BeginSite(t.Context(), oldest, "wiki", "")
		if err != nil {
			t.Fatal(err)
		}
		live, release := w.Attach(t.Context(), oldest)
		defer release()
		_, second := w.begin()
		_, third := w.begin()
		w.clock.Advance(time.Hour)

		var ended []string
		_, fourth, err := w.Begin(t.Context(), session.SignIn{User: ada, Ended: func(s *session.Session) {
			ended = append(ended, s.ID())
		}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ended, []string{oldest.ID()}) {
			t.Errorf("told of the end of %v, not of %s", ended, oldest.ID())
		}
		wantEnded(t, live)
		if w.signedIn(cookie) {
			t.Error("the oldest goes on")
		}
		if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); !errors.Is(err, session.ErrNone) {
			t.Error("its site session goes on:", err)
		}
		w.wantIDs(fourth.ID(), third.ID(), second.ID())

		other := ada
		other.Subject = "another"
		if _, _, err := w.Begin(t.Context(), session.SignIn{User: other}); err != nil {
			t.Fatal(err)
		}
		if got := w.ids(); len(got) != 3 {
			t.Errorf("another user's sign-in left %v", got)
		}
	})
}

func TestAStricterBoundEndsAllThatAreTooMany(t *testing.T) {
	w := newWorld(t, session.Policy{})
	for range 64 {
		w.begin()
	}
	if n := len(w.ids()); n != 64 {
		t.Fatalf("%d sessions by default, not 64", n)
	}
	w.Sessions = session.New(w.cache, session.Policy{PerUser: 1})
	_, last := w.begin()
	w.wantIDs(last.ID())
}

func TestOnlyLiveSessionsCountAsTooMany(t *testing.T) {
	const idle = time.Hour
	for name, die := range map[string]func(w *world, s *session.Session){
		"signed out": func(w *world, s *session.Session) {
			if err := w.End(w.t.Context(), s.Key()); err != nil {
				w.t.Fatal(err)
			}
		},
		"idle": func(*world, *session.Session) {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, session.Policy{Idle: idle, PerUser: 3})
			busy, first := w.known()
			for range 8 {
				_, s := w.begin()
				die(w, s)
				for range 3 {
					w.clock.Advance(idle / 2)
					w.check(busy)
				}
			}
			if got := w.ids(); !slices.Equal(got, []string{first.ID()}) {
				t.Errorf("left: %v, not %s", got, first.ID())
			}
		})
	}
}

func TestTheSessionThatASignInReplacesTakesNoPlace(t *testing.T) {
	w := newWorld(t, session.Policy{PerUser: 2})
	phone, _ := w.begin()
	_, laptop := w.begin()
	_, again, err := w.Begin(t.Context(), session.SignIn{User: ada, Replaces: laptop.Key()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.End(t.Context(), laptop.Key()); err != nil {
		t.Fatal(err)
	}
	if !w.signedIn(phone) || len(w.ids()) != 2 || w.ids()[0] != again.ID() {
		t.Errorf("left: %v", w.ids())
	}
}

func TestManySignInsAtOnceHoldTheBound(t *testing.T) {
	const bound = 5
	onEngines(t, session.Policy{PerUser: bound}, func(t *testing.T, w *world) {
		var mu sync.Mutex
		began := map[string]string{}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				token, s, err := w.Begin(t.Context(), session.SignIn{User: ada})
				if err != nil {
					if !strings.Contains(err.Error(), "too often at once") {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				began[s.ID()] = token.Encode()
				mu.Unlock()
			})
		}
		wg.Wait()
		listed := w.ids()
		if len(listed) > bound || len(listed) == 0 || w.stored(t, "session:") != len(listed) {
			t.Errorf("%d are listed and %d stored, where at most %d may be", len(listed), w.stored(t, "session:"), bound)
		}
		for id, cookie := range began {
			if w.signedIn(cookie) != slices.Contains(listed, id) {
				t.Errorf("%s is signed in: %v; on the list: %v", id, w.signedIn(cookie), slices.Contains(listed, id))
			}
		}
	})
}

func TestASignInUnderWayIsNotTakenForDead(t *testing.T) {
	for newer, left := range map[int]bool{1: true, 2: false, 3: false} {
		t.Run(fmt.Sprint(newer, " begin before it is stored"), func(t *testing.T) {
			w := newWorld(t, session.Policy{PerUser: 2})
			w.begin()
			w.begin()
			w.clock.Advance(time.Hour)
			w.store.onPut(func(string) {
				w.store.onPut(nil)
				for range newer {
					w.begin()
				}
			})
			_, s, err := w.Begin(t.Context(), session.SignIn{User: ada})
			if (err == nil) != left {
				t.Fatalf("with %d newer: %v", newer, err)
			}
			if left && !slices.Contains(w.ids(), s.ID()) {
				t.Error("it is on no list")
			}
			if len(w.ids()) != 2 || w.stored(t, "session:") != 2 {
				t.Errorf("%d are listed and %d stored, not 2", len(w.ids()), w.stored(t, "session:"))
			}
		})
	}
}

func TestEndUserEndsAllOfOneUser(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		var cookies []string
		for range 3 {
			cookie, _ := w.known()
			cookies = append(cookies, cookie)
		}
		other, _, err := w.Begin(t.Context(), session.SignIn{User: session.User{Subject: "another"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{3, 0} {
			if n, err := w.EndUser(t.Context(), ada.Subject); n != want || err != nil {
				t.Fatalf("ended %d, not %d: %v", n, want, err)
			}
		}
		for _, cookie := range cookies {
			if w.signedIn(cookie) {
				t.Error("still signed in")
			}
		}
		w.check(other.Encode())
		if n := len(w.ids()); n != 0 {
			t.Errorf("%d are listed", n)
		}
	})
}

func TestASessionFromBeforeTheListsIsListedOnceItIsUsed(t *testing.T) {
	onEngines(t, session.Policy{Idle: time.Hour}, func(t *testing.T, w *world) {
		cookie, old := w.known()
		of := session.Key(sha256.Sum256([]byte(ada.Subject)))
		if format == records.CBOR {
			clear(of[16:])
		}
		list := storeKey("user:", of)
		if _, ok, err := w.store.Take(t.Context(), list); !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.clock.Advance(30 * time.Minute)
		_, recent := w.begin()
		w.wantNoList(old)
		w.check(cookie)
		w.wantIDs(recent.ID(), old.ID())
		if n, err := w.EndUser(t.Context(), ada.Subject); n != 2 || err != nil {
			t.Errorf("ended %d, %v", n, err)
		}
	})
}

func (w *world) wantNoList(s *session.Session) {
	w.t.Helper()
	if slices.Contains(w.ids(), s.ID()) {
		w.t.Fatal("it is listed already")
	}
}

func TestAStoreThatDoesNotAnswerListsNobodysSessionsAsNone(t *testing.T) {
	w := newWorld(t, session.Policy{})
	w.begin()
	w.store.down.Store(true)
	if all, err := w.OfUser(t.Context(), ada.Subject); !errors.Is(err, storage.ErrUnavailable) || all != nil {
		t.Error(all, err)
	}
	if n, err := w.EndUser(t.Context(), ada.Subject); !errors.Is(err, storage.ErrUnavailable) || n != 0 {
		t.Error(n, err)
	}
	w.store.down.Store(false)
	w.store.failNextTakes(4)
	if n, err := w.EndUser(t.Context(), ada.Subject); !errors.Is(err, storage.ErrUnavailable) || n != 0 {
		t.Error(n, err)
	}
	if n := len(w.ids()); n != 1 {
		t.Errorf("what could not be ended is not listed any more: %d", n)
	}
}

func TestASessionRemembersItsDeviceCutAndCleaned(t *testing.T) {
	for _, c := range []struct{ name, agent, from, wantAgent, wantFrom string }{
		{"plain", "Mozilla/5.0 (X11; Linux)", "192.0.2.7", "Mozilla/5.0 (X11; Linux)", "192.0.2.7"},
		{"nothing", "", "", "", ""},
		{"an address alone", "", "2001:db8::1", "", "2001:db8::1"},
		{"too long", strings.Repeat("a", 1<<20), strings.Repeat("9", 100), strings.Repeat("a", 128), strings.Repeat("9", 64)},
		{"cut within a character", strings.Repeat("a", 127) + "é", "", strings.Repeat("a", 127), ""},
		{"what cannot be printed", "a\x00b\x1b[31m\r\n\u202ec\xff", "1\x00.2", "ab[31mc", "1.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, session.Policy{Idle: time.Hour})
			token, begun, err := w.Begin(t.Context(), session.SignIn{User: ada, Agent: c.agent, From: c.from})
			if err != nil {
				t.Fatal(err)
			}
			start := w.clock.Now()
			w.clock.Advance(30 * time.Minute)
			inMemory := w.check(token.Encode()) // and writes it again
			all, err := w.OfUser(t.Context(), ada.Subject)
			if err != nil || len(all) != 1 {
				t.Fatal(len(all), err)
			}
			for name, s := range map[string]*session.Session{"begun": begun, "listed": all[0]} {
				if s.Agent() != c.wantAgent || s.From() != c.wantFrom {
					t.Errorf("%s: %q from %q, not %q from %q", name, s.Agent(), s.From(), c.wantAgent, c.wantFrom)
				}
				if u := s.User(); u.Subject != ada.Subject || !slices.Equal(u.Groups, ada.Groups) {
					t.Errorf("%s: the user is %+v", name, u)
				}
			}
			if !all[0].Begun().Equal(start) || !all[0].Seen().Equal(w.clock.Now()) {
				t.Errorf("begun %v, seen %v", all[0].Begun(), all[0].Seen())
			}
			if inMemory.Agent() != "" || inMemory.From() != "" {
				t.Error("what is kept in memory for every request has them, too")
			}
		})
	}
}

func TestAFullMemoryStoreKeepsTheSiteSessionsOfABusySession(t *testing.T) {
	const idle = time.Hour
	c := newClock()
	w := worldOn(t, session.Policy{Idle: idle}, c, memory.New(memory.Options{Now: c.Now, Capacity: 100}))
	_, sso := w.known()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := w.CheckSite(t.Context(), site.Encode(), "wiki"); err != nil {
			t.Fatalf("after %d others: %v", 20*i, err)
		}
		for j := range 20 {
			if err := w.store.Put(t.Context(), fmt.Sprint("another ", i, " ", j), []byte("x"), 24*time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.Advance(idle / 8)
	}
	if !slices.Equal(w.ids(), []string{sso.ID()}) {
		t.Error("its user's list is lost")
	}
}
