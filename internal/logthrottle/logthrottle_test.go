package logthrottle_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
)

func TestALineAMinuteSaysHowOftenItHappened(t *testing.T) {
	var lines logthrottle.Throttle
	start := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		at    time.Duration
		times int
		want  []int // of each time
	}{
		{0, 3, []int{1, 0, 0}},
		{59 * time.Second, 2, []int{0, 0}},
		{time.Minute, 2, []int{5, 0}},
		{2*time.Minute - 1, 1, []int{0}},
		{2 * time.Minute, 1, []int{3}},
		{time.Hour, 2, []int{1, 0}},
		{2 * time.Minute, 2, []int{2, 0}}, // the clock was set back
		{3 * time.Minute, 1, []int{2}},
	} {
		for i := range c.times {
			if n := lines.Due(start.Add(c.at)); n != c.want[i] {
				t.Errorf("after %s, at occasion %d: %d, expected %d", c.at, i+1, n, c.want[i])
			}
		}
	}
}

func TestKindsHaveLinesOfTheirOwn(t *testing.T) {
	var kinds logthrottle.ByKind
	now := time.Unix(1_700_000_000, 0)
	for i, want := range []int{1, 0} {
		for _, kind := range []string{"a", "b", ""} {
			if n := kinds.Of(kind).Due(now); n != want {
				t.Errorf("occasion %d of %q: %d, expected %d", i+1, kind, n, want)
			}
		}
	}
}

func TestOccasionsAtOnceAreAllCounted(t *testing.T) {
	var lines logthrottle.Throttle
	var counted, written atomic.Int64
	now := time.Unix(1_700_000_000, 0)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if n := lines.Due(now); n > 0 {
				written.Add(1)
				counted.Add(int64(n))
			}
		})
	}
	all.Wait()
	if n := lines.Due(now.Add(time.Minute)); written.Load() != 1 || counted.Load()+int64(n) != 101 {
		t.Errorf("%d lines of %d, then one of %d", written.Load(), counted.Load(), n)
	}
}
