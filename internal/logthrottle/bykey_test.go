package logthrottle_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
)

func TestOfEachKindThereAreFewLinesAMinuteAndThenTheNumberOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		left := map[string]int{}
		few := &logthrottle.ByKey[string]{Most: 3, LeftOut: func(kind string, lines int) {
			mu.Lock()
			defer mu.Unlock()
			left[kind] += lines
		}}
		occasions := func(kind string, times, want int) {
			t.Helper()
			lines := 0
			for range times {
				if few.Due(kind) {
					lines++
				}
			}
			if lines != want {
				t.Errorf("%d lines of %d, want %d", lines, times, want)
			}
		}
		wantLeft := func(want string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if got := fmt.Sprint(left); got != want {
				t.Errorf("left out are %s, want %s", got, want)
			}
		}
		occasions("a", 3, 3)
		occasions("b", 5, 3)
		time.Sleep(59 * time.Second)
		occasions("a", 4, 0)
		wantLeft("map[]")
		time.Sleep(time.Second)
		wantLeft("map[a:4 b:2]")
		occasions("a", 4, 3)
		few.Flush()
		wantLeft("map[a:5 b:2]")
		time.Sleep(time.Hour)
		wantLeft("map[a:5 b:2]")
		occasions("a", 3, 3)
	})
}

func TestManyKindsAreNotKept(t *testing.T) {
	few := &logthrottle.ByKey[int]{Most: 1, LeftOut: func(kind, lines int) { t.Errorf("of kind %d %d are left out", kind, lines) }}
	for kind := range 100_000 {
		if !few.Due(kind) {
			t.Fatalf("kind %d has no line", kind)
		}
	}
	few.Flush()
}

func TestLinesAtOnceAreAllCounted(t *testing.T) {
	var lines, left atomic.Int64
	few := &logthrottle.ByKey[string]{Most: 10, LeftOut: func(_ string, n int) { left.Add(int64(n)) }}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if few.Due("a") {
				lines.Add(1)
			}
		})
	}
	all.Wait()
	few.Flush()
	if lines.Load() != 10 || left.Load() != 90 {
		t.Errorf("%d lines, and %d left out", lines.Load(), left.Load())
	}
}
