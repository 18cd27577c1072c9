package oauth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A crippled store fails as it is told to.
type crippled struct {
	full   bool                    // nothing can be written that takes room, as with Redis at its limit
	refuse func(taken string) bool // what cannot be taken; nil: nothing
	scans  func(prefix string)     // nil: the store cannot be searched
}

func (c *crippled) fault(method, key string) error {
	switch method {
	case "Put", "Pin", "CompareAndSwap":
		if c.full {
			return fmt.Errorf("OOM command not allowed: %w", storage.ErrUnavailable)
		}
	case "Take":
		if c.refuse != nil && c.refuse(key) {
			return faultystore.ErrDown
		}
	case "Scan":
		if c.scans == nil {
			return fmt.Errorf("scanning: %w", storage.ErrUnavailable)
		}
		c.scans(key)
	}
	return nil
}

// newCrippled is a world whose store cannot be searched.
func newCrippled(t *testing.T) (*world, *crippled) {
	w, c := newWorld(t), new(crippled)
	w.store.Fail(c.fault)
	return w, c
}

// only refuses what begins with a prefix, but for the first of it.
func only(prefix string) func(string) bool {
	var mu sync.Mutex
	first := ""
	return func(key string) bool {
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		if first == "" {
			first = key
		}
		return key != first
	}
}

// A full store can still remove records: an end that failed can be repeated until it
// is complete.
func TestClass16AnEndInAFullStoreCanBeRepeated(t *testing.T) {
	for name, end := range map[string]func(w *world, in oauth.SignedIn, access string) error{
		"a ban": func(w *world, _ oauth.SignedIn, _ string) error {
			_, _, err := w.EndByName(w.t.Context(), "ADA")
			return err
		},
		"everywhere else": func(w *world, in oauth.SignedIn, _ string) error {
			return w.SignOutElsewhere(w.t.Context(), in, "")
		},
		"everywhere": func(w *world, _ oauth.SignedIn, access string) error {
			v, refusal := w.VerifyAccess(w.t.Context(), access)
			if refusal != nil {
				return nil // it was its own, too
			}
			if refusal := w.SignOutEverywhere(w.t.Context(), v, ""); refusal != nil {
				return refusal
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := newCrippled(t)
			var lasting []*oauth.Tokens
			for range 3 {
				_, other := w.signIn(ada)
				lasting = append(lasting, w.offline(other))
			}
			_, in := w.signIn(ada)
			own := w.offline(in)
			c.full = true
			for i := range 3 {
				c.refuse = nil
				if i == 0 {
					c.refuse = only("grant:")
				}
				if err := end(w, in, own.Access); (err != nil) != (i == 0) {
					t.Fatalf("time %d: %v", i+1, err)
				}
			}
			c.full = false
			for _, tokens := range append(lasting, own) {
				_, refusal := w.refresh(tokens.Refresh, nil)
				wantKind(t, refusal, oauth.InvalidGrant)
			}
		})
	}
}

// If one part cannot be ended, the others still end, and the error has the number
// that is left.
func TestClass16EveryPartOfAnEndIsTriedAndTheErrorSaysWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		name, refused string
		end           func(w *world, in oauth.SignedIn) error
		left          string
		sessions      int // that live on
		grants        int
	}{
		{"a ban, sessions", "session:", func(w *world, _ oauth.SignedIn) error {
			_, _, err := w.EndByName(w.t.Context(), "ada")
			return err
		}, "2 sessions are left", 2, 0},
		{"a ban, grants", "grant:", func(w *world, _ oauth.SignedIn) error {
			_, _, err := w.EndByName(w.t.Context(), ada.Subject)
			return err
		}, "3 persistent grants are left", 0, 3},
		{"everywhere else, sessions", "session:", func(w *world, in oauth.SignedIn) error {
			return w.SignOutElsewhere(w.t.Context(), in, "")
		}, "1 sessions are left", 2, 0},
		{"one session", "grant:", func(w *world, in oauth.SignedIn) error {
			_, err := w.EndSessionAndGrants(w.t.Context(), in, "", "")
			return err
		}, "1 persistent grants are left", 2, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, store := newCrippled(t)
			var in oauth.SignedIn
			for range 3 {
				_, in = w.signIn(ada)
				w.offline(in)
			}
			w.offline(in)
			store.refuse = only(c.refused)
			err := c.end(w, in)
			if err == nil || !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), c.left) {
				t.Errorf("%v; want %q", err, c.left)
			}
			sessions, err := w.Sessions.OfUser(t.Context(), ada.Subject)
			if err != nil || len(sessions) != c.sessions {
				t.Errorf("%d sessions live on, not %d (%v)", len(sessions), c.sessions, err)
			}
			grants, err := w.Grants.OfUser(t.Context(), ada.Subject)
			if err != nil || len(grants) != c.grants {
				t.Errorf("%d grants live on, not %d (%v)", len(grants), c.grants, err)
			}
			store.refuse = nil
			if err := c.end(w, in); err != nil {
				t.Error("once more:", err)
			}
		})
	}
}

// Ending someone by a name reads that user's lists, and never the whole store.
func TestAUserIsEndedByNameWithoutASearch(t *testing.T) {
	w, _ := newCrippled(t)
	var all []session.User
	for i, subject := range []string{"of one provider", "of another"} { // who have the same name
		u := session.User{Subject: subject, Name: []string{"Ǆordana", "ǆORDANA"}[i], Signin: subject}
		w.begins(u)
		all = append(all, u)
	}
	w.begins(ada)
	renamed := session.User{Subject: "renamed", Name: "Ǆordana"}
	_, before := w.begins(renamed)
	renamed.Name = "another user"
	w.begins(renamed)
	if err := w.Sessions.End(t.Context(), before.Session.Key()); err != nil {
		t.Fatal(err)
	}
	sessions, grants, err := w.EndByName(t.Context(), "ǅordana")
	if sessions != 2 || grants != 0 || err != nil {
		t.Errorf("%d sessions and %d grants, %v", sessions, grants, err)
	}
	for _, u := range all {
		if n := w.live(u.Subject); n != 0 {
			t.Errorf("%s has %d sessions left", u.Subject, n)
		}
	}
	for _, other := range []session.User{ada, renamed} {
		if n := w.live(other.Subject); n != 1 {
			t.Errorf("%s, who is called %s, has %d sessions", other.Subject, other.Name, n)
		}
	}
}

// A persistent grant without a session is found by the name even years later.
func TestAPersistentGrantIsEndedByTheNameLongAfterItsSession(t *testing.T) {
	w, _ := newCrippled(t)
	_, in := w.begins(ada)
	tokens := w.offline(in)
	for range 30 {
		w.clock.Advance(80 * 24 * time.Hour)
		tokens = w.mustRefresh(tokens.Refresh)
	}
	if n := w.live(ada.Subject); n != 0 {
		t.Fatal("the session goes on")
	}
	if _, grants, err := w.EndByName(t.Context(), "Ada"); grants != 1 || err != nil {
		t.Errorf("%d grants, %v", grants, err)
	}
}

func TestANameIsForgottenWithTheLastSessionAndHasABoundedNumberOfUsers(t *testing.T) {
	w, c := newCrippled(t)
	c.scans = func(string) {}
	notes := func() (n, size int) {
		t.Helper()
		if err := w.store.Scan(t.Context(), "name:", func(_ string, value []byte) error { n++; size += len(value); return nil }); err != nil {
			t.Fatal(err)
		}
		return n, size
	}
	for i := range 300 {
		w.begins(session.User{Subject: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Name: "admin"})
	}
	if n, size := notes(); n != 1 || size > 64*64 {
		t.Errorf("%d notes of %d bytes", n, size)
	}
	for i := range 3 { // sign-ins of one user rarely write
		w.begins(ada)
		w.clock.Advance(time.Hour)
		if i == 0 {
			w.store.Fail(func(method, key string) error {
				if method == "CompareAndSwap" && strings.HasPrefix(key, "name:") {
					return errors.New("noted again")
				}
				return nil
			})
		}
	}
	w.clock.Advance(40 * 24 * time.Hour)
	if n, _ := notes(); n != 0 {
		t.Errorf("%d notes are left of users who have nothing", n)
	}
	// A user of the configuration needs no record.
	w.Named = func(name string) []session.User { return []session.User{{Subject: ada.Subject, Name: "ada"}} }
	w.begins(ada)
	if n, _ := notes(); n != 0 {
		t.Error("a user of the configuration is noted")
	}
	if sessions, _, err := w.EndByName(t.Context(), "ADA"); sessions != 1 || err != nil {
		t.Errorf("%d, %v", sessions, err)
	}
}

// begins signs in as the hosted page does.
func (w *world) begins(u session.User) (string, oauth.SignedIn) {
	w.t.Helper()
	token, s, err := w.BeginSession(w.t.Context(), session.SignIn{User: u}, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Encode(), oauth.SignedIn{Session: s, User: u}
}
