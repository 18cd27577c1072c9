package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// silent is a store that takes a connection, and a second to give up on it.
type silent struct {
	storage.Store
	clock *clock
	takes int
}

func (s *silent) Take(context.Context, string) ([]byte, bool, error) {
	s.takes++
	s.clock.Advance(time.Second)
	return nil, false, errDown
}

// A user who signs out waits for one answer, not for four.
func TestASilentStoreIsAskedOnceToEndASession(t *testing.T) {
	c := newClock()
	store := &silent{Store: memory.New(memory.Options{Now: c.Now}), clock: c}
	w := worldOn(t, session.Policy{}, c, store)
	_, sso := w.known()
	if err := w.End(t.Context(), sso.Key()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("the end is claimed, or: %v", err)
	}
	if store.takes != 1 {
		t.Errorf("asked %d times", store.takes)
	}
}
