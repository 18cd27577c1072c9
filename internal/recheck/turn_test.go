package recheck_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/recheck"
	"github.com/caddy-sso/caddy-sso/storage"
)

// One server of a cluster is away, which many keys are of. Another one was slow
// for a moment: it does not wait until all those keys had their turn.
func TestAKeyOfAServerThatAnswersDoesNotWaitForThoseOfOneThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = -1
		var checked atomic.Bool
		q := recheck.New(recheck.Options[int]{
			Read: func(_ context.Context, key int, _ bool) error {
				if key != slow {
					return storage.ErrAway
				}
				checked.Store(true)
				return nil
			},
			Live: func() []int { return nil },
			Now:  func() int64 { return time.Now().UnixMilli() },
		})
		defer q.Close()
		for key := range 10_000 {
			q.Unanswered(key, 1, storage.ErrAway)
		}
		time.Sleep(5 * time.Second)
		q.Unanswered(slow, 1, storage.ErrTimedOut)
		time.Sleep(time.Second)
		synctest.Wait()
		if !checked.Load() {
			t.Error("not read again within a second")
		}
	})
}
