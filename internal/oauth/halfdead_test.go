package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/storage"
)

// halfDead is a store of which a part is away, as where a server of a cluster is.
type halfDead struct {
	storage.Store
	away string // what the keys begin with that are there; empty: nothing
}

func (h *halfDead) part(key string) error {
	if h.away != "" && strings.HasPrefix(key, h.away) {
		return fmt.Errorf("dialing: %w", storage.ErrUnavailable)
	}
	return nil
}

func (h *halfDead) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := h.part(key); err != nil {
		return nil, false, err
	}
	return h.Store.Get(ctx, key)
}

func (h *halfDead) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := h.part(key); err != nil {
		return nil, false, err
	}
	return h.Store.Take(ctx, key)
}

// A part of the store that is away keeps nothing in that is stored elsewhere.
func TestClass16ABanEndsWhatCanBeEndedWhileAPartOfTheStoreIsAway(t *testing.T) {
	for name, away := range map[string]func(in oauth.SignedIn) string{
		"one session, of a user without grants": func(in oauth.SignedIn) string { return "session:" + in.Session.Key().Whole() },
		"the user's grants":                     func(oauth.SignedIn) string { return "grants:" },
		"all grants":                            func(oauth.SignedIn) string { return "grant:" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			h := &halfDead{Store: w.store.Store}
			w.store.Store = h
			w.restart()
			for range 3 {
				_, in := w.begins(ada)
				if !strings.Contains(name, "without grants") {
					w.offline(in)
				}
			}
			_, in := w.begins(ada)
			const sessions = 4
			h.away = away(in)
			left := 0
			if strings.HasPrefix(h.away, "session:") {
				left = 1
			}
			ended, _, err := w.EndByName(t.Context(), "Ada")
			if ended != sessions-left || !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%d sessions were ended, %v", ended, err)
			}
			h.away = ""
			if n := w.live(ada.Subject); n != left {
				t.Errorf("%d sessions are left", n)
			}
			if _, _, err := w.EndByName(t.Context(), "Ada"); err != nil {
				t.Errorf("once more: %v", err)
			}
			grants, err := w.Grants.OfUser(t.Context(), ada.Subject)
			if w.live(ada.Subject) != 0 || len(grants) != 0 || err != nil {
				t.Errorf("%d sessions and %d grants are left, %v", w.live(ada.Subject), len(grants), err)
			}
		})
	}
}
