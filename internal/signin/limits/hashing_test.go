package limits

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/caddy-sso/caddy-sso/signin"
)

func TestACanceledRequestLeavesNothingTaken(t *testing.T) {
	for _, ahead := range []bool{false, true} { // other clients then wait at the door, or at the cores
		synctest.Test(t, func(t *testing.T) {
			q := NewQueue()
			var leave []func()
			for range cap(q.Cores) {
				done, err := q.Enter(t.Context(), signin.Credentials{Known: ahead})
				if err != nil {
					t.Fatal(err)
				}
				leave = append(leave, done)
			}
			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan error, 2*PlacesPerCore)
			for i := range cap(gone) {
				go func() {
					_, err := q.Enter(ctx, signin.Credentials{Known: i%2 == 0})
					gone <- err
				}()
			}
			synctest.Wait()
			cancel()
			for range cap(gone) {
				if err := <-gone; !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			}
			for _, done := range leave {
				done()
			}
			if len(q.Cores)+len(q.door)+len(q.UnknownDevices)+len(q.known) != 0 {
				t.Errorf("cores %d, door %d, other clients %d, known %d are still taken", len(q.Cores), len(q.door), len(q.UnknownDevices), len(q.known))
			}
		})
	}
}
