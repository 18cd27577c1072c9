package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// unseekable is a store that finds nothing by the beginning of a key, as Redis, and
// that may not be searched.
type unseekable struct {
	storage.Store
	t *testing.T
}

func (u unseekable) Scan(context.Context, string, func(string, []byte) error) error {
	u.t.Error("the whole store is read")
	return nil
}

func TestASessionIsFoundByItsIDWithoutReadingTheStore(t *testing.T) {
	c := newClock()
	inner := newWorld(t, session.Policy{}).store.Store
	begins := worldOn(t, session.Policy{}, c, unseekable{inner, t})
	w := worldOn(t, session.Policy{}, c, unseekable{inner, t}) // another node
	cookie, s := begins.begin()
	for name, id := range map[string]string{"all of it": s.Key().Whole(), "all but one": s.Key().Whole()[:63], "what logs have": s.ID()} {
		found, err := w.Find(t.Context(), id)
		if whole := name == "all of it"; whole && (err != nil || found.Key() != s.Key()) || !whole && !errors.Is(err, session.ErrSearch) {
			t.Errorf("%s: %v", name, err)
		}
		if found, err := w.FindOfUser(t.Context(), ada.Subject, id); err != nil || found.Key() != s.Key() {
			t.Errorf("%s, and the user: %v", name, err)
		}
		if _, err := w.FindOfUser(t.Context(), "another user", id); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s, and another user: %v", name, err)
		}
	}
	w.check(cookie) // so that it is in memory
	for _, id := range []string{s.Key().Whole()[:63], s.ID()} {
		if found, err := w.Find(t.Context(), id); err != nil || found.Key() != s.Key() {
			t.Errorf("%s, in memory: %v", id, err)
		}
	}
	if err := begins.End(t.Context(), s.Key()); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]error{
		s.Key().Whole(): session.ErrNone, s.ID(): session.ErrSearch, s.ID()[:15]: session.ErrNone, s.Key().Whole() + "0": session.ErrNone,
		strings.ToUpper("abcdefabcdefabcd"): session.ErrNone, "": session.ErrNone,
	} {
		if _, err := w.Find(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("%q of one that has ended: %v, want %v", id, err, want)
		}
		if _, err := w.FindOfUser(t.Context(), ada.Subject, id); !errors.Is(err, session.ErrNone) {
			t.Errorf("%q of one that has ended, and the user: %v", id, err)
		}
	}
	w.store.down.Store(true)
	for _, id := range []string{s.Key().Whole(), s.ID()} {
		if _, err := w.FindOfUser(t.Context(), ada.Subject, id); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%q, while the store is down: %v", id, err)
		}
	}
}
