package session_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

func TestASessionIsWhatWasBegun(t *testing.T) {
	onEngines(t, session.Policy{Lifetime: time.Hour}, func(t *testing.T, w *world) {
		cookie, begun := w.begin()
		checked := w.check(cookie)
		again := w.check(cookie)
		looked, err := w.Lookup(t.Context(), begun.Key())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*session.Session{begun, checked, again, looked} {
			if !reflect.DeepEqual(s.User(), ada) {
				t.Errorf("the user is %+v", s.User())
			}
			if s.Key() != begun.Key() || s.ID() != begun.Key().ID() {
				t.Error("the key differs")
			}
			if !s.Begun().Equal(w.clock.Now()) || !s.Expires().Equal(w.clock.Now().Add(time.Hour)) {
				t.Errorf("from %v to %v", s.Begun(), s.Expires())
			}
		}
	})
}

func TestAUserMayBeNothingButASubject(t *testing.T) {
	w := newWorld(t, session.Policy{})
	token, _, err := w.Begin(t.Context(), session.SignIn{User: session.User{Subject: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if u := w.check(token.Encode()).User(); !reflect.DeepEqual(u, session.User{Subject: "x"}) {
		t.Errorf("%+v", u)
	}
	if _, _, err := w.Begin(t.Context(), session.SignIn{User: session.User{Name: "nobody"}}); err == nil {
		t.Error("a session for nobody")
	}
}

func TestABeginThatFailsLeavesNoToken(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if token, s, err := w.Begin(cancelled, session.SignIn{User: ada}); !errors.Is(err, context.Canceled) || s != nil || token != (session.Token{}) {
		t.Error("a cancelled request began a session", err)
	}
	w.store.down.Store(true)
	if token, s, err := w.Begin(t.Context(), session.SignIn{User: ada}); !errors.Is(err, storage.ErrUnavailable) || s != nil || token != (session.Token{}) {
		t.Error("a session that was not stored", err)
	}
}

func TestClass15SessionFixationATokenFromOutsideNeverBecomesASession(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		outside := session.Token{1, 2, 3}
		refused := func() {
			t.Helper()
			if _, err := w.Check(t.Context(), outside.Encode()); err != session.ErrNone {
				t.Fatal("a token from outside:", err)
			}
		}
		refused()
		first, _ := w.begin()
		refused()
		if first == outside.Encode() {
			t.Fatal("the session took the token from outside")
		}
		if second, _ := w.begin(); second == first {
			t.Fatal("a second sign-in kept the token of the first")
		}
		refused()
	})
}

func TestWhatIsNoTokenIsNoSessionAndAsksNobody(t *testing.T) {
	w := newWorld(t, session.Policy{})
	for _, cookie := range []string{"", "x", strings.Repeat("A", 42) + "B", strings.Repeat("é", 43), strings.Repeat("A", 1<<20)} {
		if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
			t.Error(err)
		}
		if _, err := w.CheckSite(t.Context(), cookie, "wiki"); err != session.ErrNone {
			t.Error(err)
		}
		if err := w.EndSite(t.Context(), cookie); err != nil {
			t.Error(err)
		}
	}
	if n := w.store.gets.Load(); n != 0 {
		t.Errorf("%d reads", n)
	}
}

func TestAHitAsksNobodyAndAllocatesNothing(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cookie, sso := w.known()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "")
	if err != nil {
		t.Fatal(err)
	}
	siteCookie := site.Encode()
	if _, err := w.CheckSite(t.Context(), siteCookie, "wiki"); err != nil {
		t.Fatal(err)
	}
	before, ctx := w.store.gets.Load(), t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		_, err1 := w.Check(ctx, cookie)
		_, err2 := w.CheckSite(ctx, siteCookie, "wiki")
		if err1 != nil || err2 != nil {
			t.Error(err1, err2)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if n := w.store.gets.Load() - before; n != 0 {
		t.Errorf("%d reads", n)
	}
}

func TestTheStoreKnowsNoToken(t *testing.T) {
	w := newWorld(t, session.Policy{})
	cookie, sso := w.begin()
	site, err := w.BeginSite(t.Context(), sso, "wiki", "tx")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = w.store.Scan(t.Context(), "", func(key string, value []byte) error {
		n++
		for _, secret := range []string{cookie, site.Encode()} {
			if strings.Contains(key+string(value), secret) {
				t.Errorf("%s holds a token", key)
			}
		}
		return nil
	})
	want := 4
	if format == records.CBOR {
		want = 3 // the list of site sessions is in the session's own record
	}
	if err != nil || n != want {
		t.Fatal(n, err)
	}
}

func TestRecordsThatDoNotDecodeAreNoSessions(t *testing.T) {
	for name, value := range map[string]string{
		"empty":             ``,
		"not JSON":          `{`,
		"no version":        `{"sub":"x","begun":1767323045000,"expires":1798859045000,"seen":1767323045000}`,
		"no subject":        `{"v":1,"begun":1767323045000,"expires":1798859045000,"seen":1767323045000}`,
		"no times":          `{"v":1,"sub":"x"}`,
		"ends at its start": `{"v":1,"sub":"x","begun":1767323045000,"expires":1767323045000,"seen":1767323045000}`,
		"null":              `null`,
		"of another type":   `{"v":1,"sub":["x"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, session.Policy{})
			cookie, s := w.known()
			if err := w.store.Put(t.Context(), w.storeKey(s), []byte(value), time.Hour); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
				t.Errorf("a broken record is a session: %v", err)
			}
			if w.logs.Load() == 0 {
				t.Error("nobody is told")
			}
			if err := w.List(t.Context(), func(*session.Session) error { t.Error("listed"); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestListFindAndEndMatching(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		cookie, _ := w.known()
		bob := ada
		bob.Subject = "bob"
		var bobs []string
		for range 3 {
			token, s, err := w.Begin(t.Context(), session.SignIn{User: bob})
			if err != nil {
				t.Fatal(err)
			}
			bobs = append(bobs, token.Encode())
			if found, err := w.Find(t.Context(), s.ID()); err != nil || found.Key() != s.Key() {
				t.Error("not found by its ID:", err)
			}
		}
		for _, id := range []string{"", "0", "0000000000000000", strings.Repeat("z", 16)} {
			if _, err := w.Find(t.Context(), id); !errors.Is(err, session.ErrNone) {
				t.Errorf("%q: %v", id, err)
			}
		}
		stop := errors.New("enough")
		if err := w.List(t.Context(), func(*session.Session) error { return stop }); !errors.Is(err, stop) {
			t.Error(err)
		}
		n, err := w.EndMatching(t.Context(), func(s *session.Session) bool { return s.User().Subject == "bob" })
		if len(n) != 3 || err != nil {
			t.Fatalf("ended %d, %v", len(n), err)
		}
		for _, cookie := range bobs {
			if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
				t.Error(err)
			}
		}
		w.check(cookie)
		var left []string
		if err := w.List(t.Context(), func(s *session.Session) error { left = append(left, s.User().Subject); return nil }); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(left, []string{ada.Subject}) {
			t.Errorf("left: %v", left)
		}
	})
}

func TestEndMatchingSaysWhatItCouldNotEnd(t *testing.T) {
	w := newWorld(t, session.Policy{})
	w.begin()
	w.begin()
	w.store.failNextTakes(4) // one session's attempts
	n, err := w.EndMatching(t.Context(), func(*session.Session) bool { return true })
	if len(n) != 1 || !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "1 sessions are left") {
		t.Errorf("%d, %v", len(n), err)
	}
}

func TestManyRequestsAtOnceAgree(t *testing.T) {
	onEngines(t, session.Policy{}, func(t *testing.T, w *world) {
		cookie, s := w.begin()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					found, err := w.Check(t.Context(), cookie)
					if err != nil {
						if !errors.Is(err, session.ErrNone) {
							t.Error(err)
						}
						return
					}
					_, release := w.Attach(t.Context(), found)
					release()
				}
			})
		}
		wg.Go(func() {
			if err := w.End(t.Context(), s.Key()); err != nil {
				t.Error(err)
			}
			if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
				t.Error("valid after its end:", err)
			}
		})
		wg.Wait()
		if _, err := w.Check(t.Context(), cookie); err != session.ErrNone {
			t.Error("valid after its end:", err)
		}
	})
}
