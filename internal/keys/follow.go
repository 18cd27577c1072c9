package keys

import (
	"context"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// followRetry is the time between a failed refresh and the next attempt.
const followRetry = 5 * time.Second

// Follow calls refresh, such as [Ring.Refresh], at once and whenever the blobs of a
// [NewStoreVault] over store may have changed, until ctx ends. It passes an error of
// refresh to failed, and tries again.
func Follow(ctx context.Context, store storage.Store, refresh func(context.Context) error, failed func(error)) {
	due := make(chan struct{}, 1)
	due <- struct{}{} // for changes before the call of Watch
	stop := store.Watch(func(c storage.Change) {
		if !c.Lost && !strings.HasPrefix(c.Key, StoredPrefix) {
			return
		}
		select {
		case due <- struct{}{}:
		default:
		}
	})
	defer stop()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-due:
		case <-again:
		}
		again = nil
		if err := refresh(ctx); err != nil {
			failed(err)
			again = time.After(followRetry)
		}
	}
}
