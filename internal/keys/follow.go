package keys

import (
	"context"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// followRetry is how soon keys are looked at again that could not be read.
const followRetry = 5 * time.Second

// Follow calls refresh, as that of a [Ring], whenever the blobs of a
// [NewStoreVault] over store may have changed, and at once, until ctx ends. What
// refresh returns is told to failed, and tried again.
func Follow(ctx context.Context, store storage.Store, refresh func(context.Context) error, failed func(error)) {
	due := make(chan struct{}, 1)
	due <- struct{}{} // for what changed before anybody watched
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
