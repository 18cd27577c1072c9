package feedcache_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// One server of a cluster is away, which many keys are of. Another one was slow
// for a moment: it does not wait until all those keys had their turn.
func TestAKeyOfAServerThatAnswersDoesNotWaitForThoseOfOneThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = -1
		var checked atomic.Bool
		c := newCache(t, time.Hour)
		c.get = func(_ context.Context, key int) (*string, error) {
			if key != slow {
				return nil, storage.ErrAway
			}
			if !checked.Swap(true) {
				return nil, storage.ErrTimedOut
			}
			return new(string), nil
		}
		for key := range 10_000 {
			c.feed.Ask(t.Context(), key, 1, func(context.Context) error { return storage.ErrAway })
		}
		time.Sleep(5 * time.Second)
		c.feed.Ask(t.Context(), slow, 1, func(context.Context) error { return storage.ErrTimedOut })
		time.Sleep(time.Second)
		synctest.Wait()
		if !checked.Load() {
			t.Error("not read again within a second")
		}
	})
}
