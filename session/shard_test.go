package session_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// aPart are the sessions that one of several servers keeps.
func aPart(key string) bool { return len(key) > len("session:") && key[len("session:")] < '8' }

// Of several servers one is away, and knows many sessions. Those of the others are
// read again within a second, in the background, and a user whose sign-out was not
// reported is out.
func TestAPartOfTheStoreThatIsAwayHoldsUpNoOther(t *testing.T) {
	for name, away := range map[string]error{
		"as the store knows": storage.ErrAway, "and each read takes its time": storage.ErrTimedOut,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClock()
				w := patientWorld(t, session.Policy{OutageGrace: time.Hour, PerUser: 500}, c, memory.New(memory.Options{Now: c.Now}), 100*time.Millisecond)
				const people = 300
				cookies := make([]string, people)
				sessions := make([]*session.Session, people)
				for i := range people {
					cookies[i], sessions[i] = w.known()
				}
				w.store.mute.Store(true)
				for _, s := range sessions {
					if _, _, err := w.store.Store.Take(t.Context(), w.storeKey(s)); err != nil {
						t.Fatal(err)
					}
				}
				w.store.awayWith(aPart, away)
				w.store.lose()
				out := func(i int) bool {
					_, err := w.Check(t.Context(), cookies[i])
					if err != nil && !errors.Is(err, session.ErrNone) {
						t.Fatal(err)
					}
					return err != nil
				}
				for i := range people {
					out(i)
				}
				for range 10 {
					c.Advance(100 * time.Millisecond)
					time.Sleep(100 * time.Millisecond)
					for i := range people {
						out(i)
					}
				}
				for i, s := range sessions {
					if is, want := out(i), !aPart(w.storeKey(s)); is != want {
						t.Errorf("after a second session %d is out: %v; want %v", i, is, want)
					}
				}
				w.store.awayWith(nil, nil)
				c.Advance(2 * time.Second) // one for the running reads
				time.Sleep(2 * time.Second)
				for i := range people {
					if !out(i) {
						t.Errorf("after the return session %d is not out", i)
					}
				}
			})
		})
	}
}
