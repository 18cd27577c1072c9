//nolint:testableexamples // only go test makes a *testing.T
package storagetest_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage/memory"
	"github.com/caddy-sso/caddy-sso/storage/storagetest"
)

// A clock moves only when it is told to.
type clock struct{ passed atomic.Int64 }

func (c *clock) Now() time.Time       { return time.Unix(1_800_000_000, c.passed.Load()) }
func (c *clock) Pass(d time.Duration) { c.passed.Add(int64(d)) }

// The test of an engine. In its package the function is named TestConformance, or the
// like. This example is compiled and not run, since only go test makes a *testing.T.
func ExampleRun() {
	testConformance := func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storagetest.Opened {
			c := new(clock)
			store := memory.New(memory.Options{Capacity: 4096, Now: c.Now})
			t.Cleanup(func() {
				if err := store.Close(); err != nil {
					t.Error(err)
				}
			})
			return storagetest.Opened{Store: store, Pass: c.Pass, Unit: time.Minute, Crowd: 4096}
		})
	}
	_ = testConformance
}
