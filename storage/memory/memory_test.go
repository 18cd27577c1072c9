package memory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
	"github.com/caddy-sso/caddy-sso/storage/storagetest"
)

func TestContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Opened {
		var elapsed atomic.Int64
		start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		const capacity = 4096
		s := memory.New(memory.Options{
			Capacity: capacity,
			Seekable: map[string]int{"session:": 16, "S": 8},
			Now:      func() time.Time { return start.Add(time.Duration(elapsed.Load())) },
		})
		t.Cleanup(func() { s.Close() })
		return storagetest.Opened{
			Store: s,
			Unit:  time.Minute,
			Pass:  func(d time.Duration) { elapsed.Add(int64(d)) },
			Crowd: capacity,
		}
	})
}

func TestTheValueNotUsedForLongestMakesRoom(t *testing.T) {
	s := memory.New(memory.Options{Capacity: 3})
	defer s.Close()
	for _, key := range []string{"a", "b", "c"} {
		put(t, s, key)
	}
	if _, ok, err := s.Get(t.Context(), "a"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	put(t, s, "c") // replacing needs no room
	var changed []string
	s.Watch(func(c storage.Change) { changed = append(changed, c.Key) })
	put(t, s, "d")
	if fmt.Sprint(changed) != "[b d]" {
		t.Errorf("reported %v; want the evicted key, then the new one", changed)
	}
	for key, there := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, ok, err := s.Get(t.Context(), key); ok != there || err != nil {
			t.Errorf("%s: %v, %v", key, ok, err)
		}
	}
}

func TestWhatHasExpiredMakesRoomBeforeWhatIsLive(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s := memory.New(memory.Options{Capacity: 4, Now: func() time.Time { return now }})
	defer s.Close()
	put(t, s, "oldest")
	for _, key := range []string{"brief", "renewed", "briefer"} {
		lifetime := time.Minute
		if key == "briefer" {
			lifetime = time.Second
		}
		if err := s.Put(t.Context(), key, []byte("1"), lifetime); err != nil {
			t.Fatal(err)
		}
	}
	if swapped, err := s.CompareAndSwap(t.Context(), "renewed", []byte("1"), []byte("2"), time.Hour); !swapped || err != nil {
		t.Fatal(swapped, err)
	}
	now = now.Add(2 * time.Minute)
	put(t, s, "a")
	put(t, s, "b")
	for _, key := range []string{"oldest", "renewed", "a", "b"} {
		if _, ok, err := s.Get(t.Context(), key); !ok || err != nil {
			t.Errorf("%s is gone, while what had expired stayed: %v", key, err)
		}
	}
	put(t, s, "c") // now all are live
	if _, ok, err := s.Get(t.Context(), "oldest"); ok || err != nil {
		t.Errorf("the one not used for longest is there: %v, %v", ok, err)
	}
}

func TestWhatHasExpiredGoesAsOthersAreWritten(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s := memory.New(memory.Options{Now: func() time.Time { return now }, Capacity: 1000})
	defer s.Close()
	for round := range 20 {
		for i := range 40 {
			put(t, s, fmt.Sprint(round, " ", i))
		}
		now = now.Add(2 * time.Hour)
	}
	if n := s.Kept(); n > 80 {
		t.Errorf("%d values are kept, of which 40 are of the last hour", n)
	}
}

// A store that is full of what it may not forget says so.
func TestClass35PinnedValuesAreRefusedBeforeOneIsForgotten(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	const capacity = 100
	s := memory.New(memory.Options{Capacity: capacity, Now: func() time.Time { return now }})
	defer s.Close()
	pin := func(key string, lifetime time.Duration) error { return s.Pin(t.Context(), key, []byte("1"), lifetime) }
	for i := range capacity {
		put(t, s, "other "+fmt.Sprint(i))
		if err := pin(fmt.Sprint(i), time.Duration(i+1)*time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := pin("one more", time.Hour); !errors.Is(err, storage.ErrFull) || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%v, want ErrFull", err)
		}
	}
	if err := pin("7", time.Hour); err != nil {
		t.Error("one that is pinned already is refused:", err)
	}
	for i := range capacity {
		for _, key := range []string{fmt.Sprint(i), "other " + fmt.Sprint(i)} {
			if _, ok, err := s.Get(t.Context(), key); !ok || err != nil {
				t.Errorf("%s is gone: %v", key, err)
			}
		}
	}
	now = now.Add(time.Minute)
	if err := pin("one more", time.Hour); err != nil {
		t.Error("what has expired makes no room:", err)
	}
	if err := pin("and another", time.Hour); !errors.Is(err, storage.ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
}

// Who looks for one value by the beginning of its key reads one shard.
func TestASeekReadsOneShard(t *testing.T) {
	s := memory.New(memory.Options{Seekable: map[string]int{"s:": 16}})
	defer s.Close()
	for prefix, seeks := range map[string]bool{"": false, "s:": false, "s:123456789012345": false, "s:1234567890123456": true, "s:12345678901234567": true, "r:12345678901234567": false} {
		if storage.Seeks(s, prefix) != seeks {
			t.Errorf("%q: %v", prefix, !seeks)
		}
	}
	put(t, s, "s:1234567890123456 and more")
	read := 0
	ctx := countingContext{t.Context(), &read}
	if err := s.Scan(ctx, "s:1234567890123456", func(string, []byte) error { return nil }); err != nil || read != 1 {
		t.Errorf("%d shards are read, %v", read, err)
	}
}

// countingContext counts how often it is looked at: once for each shard.
type countingContext struct {
	context.Context
	looked *int
}

func (c countingContext) Err() error {
	*c.looked++
	return c.Context.Err()
}

func TestManyValuesStayWithinCapacity(t *testing.T) {
	const capacity = 8192
	s := memory.New(memory.Options{Capacity: capacity})
	defer s.Close()
	for i := range 3 * capacity {
		put(t, s, fmt.Sprint(i))
	}
	n := 0
	if err := s.Scan(t.Context(), "", func(string, []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n != capacity {
		t.Errorf("%d values kept, want %d", n, capacity)
	}
}

func TestNoGoroutineStarts(t *testing.T) {
	before := runtime.NumGoroutine()
	s := memory.New(memory.Options{})
	defer s.Close()
	put(t, s, "a")
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func put(t *testing.T, s storage.Store, key string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkStore(b *testing.B) {
	s := memory.New(memory.Options{})
	defer s.Close()
	storagetest.Bench(b, s)
}
