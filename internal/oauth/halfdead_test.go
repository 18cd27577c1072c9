package oauth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/storage"
)

// If one part of the store does not answer, the records in the other parts are still
// removed.
func TestClass16ABanEndsAllRecordsInThePartsOfTheStoreThatAnswer(t *testing.T) {
	for name, away := range map[string]func(in oauth.SignedIn) string{
		"one session, of a user without grants": func(in oauth.SignedIn) string { return "session:" + in.Session.Key().Whole() },
		"the user's grants":                     func(oauth.SignedIn) string { return "grants:" },
		"all grants":                            func(oauth.SignedIn) string { return "grant:" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for range 3 {
				_, in := w.begins(ada)
				if !strings.Contains(name, "without grants") {
					w.offline(in)
				}
			}
			_, in := w.begins(ada)
			const sessions = 4
			prefix := away(in)
			w.store.Fail(func(method, key string) error {
				if (method == "Get" || method == "Take") && strings.HasPrefix(key, prefix) {
					return faultystore.ErrDown
				}
				return nil
			})
			left := 0
			if strings.HasPrefix(prefix, "session:") {
				left = 1
			}
			ended, _, err := w.EndByName(t.Context(), "Ada")
			if ended != sessions-left || !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%d sessions were ended, %v", ended, err)
			}
			w.store.Down(false)
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
