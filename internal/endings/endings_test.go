package endings_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/endings"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
	"github.com/caddy-sso/caddy-sso/storage/redis"
	"github.com/caddy-sso/caddy-sso/storage/storagetest"
)

var options = endings.Options{Removed: []string{"session:"}, Marks: []string{"ended:"}, MarkLifetime: time.Hour}

func TestContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Opened {
		var elapsed atomic.Int64
		start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		now := func() time.Time { return start.Add(time.Duration(elapsed.Load())) }
		o := options
		o.Now = now
		s := endings.New(memory.New(memory.Options{Now: now}), o)
		t.Cleanup(func() { s.Close() })
		return storagetest.Opened{Store: s, Unit: time.Minute, Pass: func(d time.Duration) { elapsed.Add(int64(d)) }}
	})
}

// A forgetful store can be replaced by an older copy of itself.
type forgetful struct {
	storage.Store
	watcher func(storage.Change)
	down    atomic.Bool
	full    atomic.Bool
}

func (f *forgetful) Watch(fn func(storage.Change)) func() {
	f.watcher = fn
	return f.Store.Watch(fn)
}

func (f *forgetful) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if f.down.Load() {
		return nil, false, fmt.Errorf("taking: %w", storage.ErrUnavailable)
	}
	return f.Store.Take(ctx, key)
}

func (f *forgetful) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if f.full.Load() {
		return fmt.Errorf("pinning: %w", storage.ErrUnavailable)
	}
	return f.Store.Pin(ctx, key, value, lifetime)
}

func open(t *testing.T, o endings.Options) (*endings.Store, *forgetful) {
	t.Helper()
	below := &forgetful{Store: memory.New(memory.Options{})}
	s := endings.New(below, o)
	t.Cleanup(func() { s.Close() })
	return s, below
}

func put(t *testing.T, s storage.Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := s.Put(t.Context(), key, []byte(key), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
}

func has(t *testing.T, s storage.Store, key string) bool {
	t.Helper()
	_, ok, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestARemovedValueThatComesBackIsNotFound(t *testing.T) {
	s, below := open(t, options)
	put(t, s, "session:a", "session:b", "other:a")
	for _, key := range []string{"session:a", "other:a"} {
		if _, ok, err := s.Take(t.Context(), key); !ok || err != nil {
			t.Fatal(key, ok, err)
		}
	}
	put(t, below, "session:a", "other:a")
	for key, want := range map[string]bool{"session:a": false, "session:b": true, "other:a": true} {
		if got := has(t, s, key); got != want {
			t.Errorf("%s is found: %v", key, got)
		}
	}
	if swapped, err := s.CompareAndSwap(t.Context(), "session:a", []byte("session:a"), []byte("longer"), time.Hour); swapped || err != nil {
		t.Errorf("it was changed: %v, %v", swapped, err)
	}
	var seen []string
	err := s.Scan(t.Context(), "session:", func(key string, _ []byte) error {
		seen = append(seen, key)
		return nil
	})
	if err != nil || !slices.Equal(seen, []string{"session:b"}) {
		t.Errorf("scanned %v, %v", seen, err)
	}
}

// Another node announces a removal before it removes the key.
func TestARemovalCountsAndIsToldAsSoonAsItIsAnnounced(t *testing.T) {
	s, below := open(t, options)
	put(t, s, "session:a", "other:a")
	var told []string
	stop := s.Watch(func(c storage.Change) {
		told = append(told, c.Key)
		if c.Key == "session:a" && has(t, s, "session:a") {
			t.Error("it is told of before it counts")
		}
	})
	defer stop()
	put(t, below, endings.Announced+"session:a", endings.Announced+"other:a")
	if want := []string{"gone:session:a", "session:a", "gone:other:a"}; !slices.Equal(told, want) {
		t.Errorf("told of %q, want %q", told, want)
	}
	if has(t, s, "session:a") || !has(t, s, "other:a") {
		t.Error("the wrong one counts as removed")
	}
}

// Requests of a session that has ended do not wait for the store. Where the removal
// failed, the store is asked.
func TestTheStoreIsNotAskedForWhatIsRemoved(t *testing.T) {
	s, below := open(t, options)
	put(t, s, "session:a", "session:b")
	if _, ok, err := s.Take(t.Context(), "session:a"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	below.down.Store(true)
	if _, _, err := s.Take(t.Context(), "session:b"); err == nil {
		t.Fatal("nobody was told that it may not be over")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := s.Get(over, "session:a"); ok || err != nil {
		t.Errorf("of what is removed: %v, %v", ok, err)
	}
	if _, _, err := s.Get(over, "session:b"); err == nil {
		t.Error("of what may not be removed: the store was not asked")
	}
}

func TestAnInterruptionEndsAgainWhatTheStoreForgot(t *testing.T) {
	s, below := open(t, options)
	put(t, s, "session:a", "ended:b")
	if _, _, err := s.Take(t.Context(), "session:a"); err != nil {
		t.Fatal(err)
	}
	put(t, below, "session:a")
	if _, _, err := below.Store.Take(t.Context(), "ended:b"); err != nil {
		t.Fatal(err)
	}
	if !has(t, s, "ended:b") {
		t.Error("a mark is lost")
	}
	below.watcher(storage.Change{Lost: true})
	eventually(t, "other nodes see it, too", func() bool { return !has(t, below, "session:a") && has(t, below, "ended:b") })
}

func TestAnEndingThatCouldNotBeStoredIsStoredLater(t *testing.T) {
	var forgotten atomic.Int64
	o := options
	o.Forgotten = func(endings int) { forgotten.Add(int64(endings)) }
	s, below := open(t, o)
	put(t, s, "session:a")
	below.down.Store(true)
	if _, _, err := s.Take(t.Context(), "session:a"); err == nil {
		t.Fatal("the caller got no error, though the ending was not stored")
	}
	if has(t, s, "session:a") {
		t.Error("it has not ended on this node")
	}
	below.down.Store(false)
	eventually(t, "it is removed", func() bool { return !has(t, below, "session:a") })
	// The store never had it, so it was not lost. From now on the store has it.
	put(t, below, "session:a")
	below.watcher(storage.Change{Lost: true})
	eventually(t, "it is removed again", func() bool { return !has(t, below, "session:a") })
	if err := s.Close(); err != nil { // after the worker has ended
		t.Fatal(err)
	}
	if n := forgotten.Load(); n != 1 {
		t.Errorf("%d endings are reported as lost", n)
	}
}

// If there is no room for a mark, values can still be removed, which makes room.
func TestWhileTheStoreIsFullLostRemovalsAreRepeated(t *testing.T) {
	s, below := open(t, options)
	below.full.Store(true)
	if err := s.Pin(t.Context(), "ended:b", []byte("1"), time.Hour); err == nil {
		t.Fatal("the caller got no error, though the ending was not stored")
	}
	put(t, s, "session:a")
	if _, _, err := s.Take(t.Context(), "session:a"); err != nil {
		t.Fatal(err)
	}
	put(t, below, "session:a")
	below.watcher(storage.Change{Lost: true})
	eventually(t, "it is removed", func() bool { return !has(t, below, "session:a") })
	below.full.Store(false)
	eventually(t, "the mark is there", func() bool { return has(t, below, "ended:b") })
}

func TestAnEndingIsForgottenWhenEveryReplicaMustHaveIt(t *testing.T) {
	var elapsed atomic.Int64
	o := options
	o.Now = func() time.Time { return time.UnixMilli(1_700_000_000_000 + elapsed.Load()) }
	s, below := open(t, o)
	if _, _, err := s.Take(t.Context(), "session:a"); err != nil {
		t.Fatal(err)
	}
	elapsed.Store(10*60_000 + 1)
	put(t, below, "session:a")
	if !has(t, s, "session:a") {
		t.Error("it is remembered for ever")
	}
}

// The new master was behind: it has the ended sessions, and not the marks. Any node
// that is still running restores the endings.
func TestClass39AFailoverUndoesNoEnding(t *testing.T) {
	for survivor, name := range []string{"the node that ended them lives", "another node lives"} {
		t.Run(name, func(t *testing.T) {
			first, second := redistest.Start(t), redistest.Start(t)
			second.Follow(first)
			proxy := redistest.StartProxy(t, first)
			var nodes [2]*endings.Store
			for i := range nodes {
				below, err := redis.Open(proxy.URL(), redis.Options{})
				if err != nil {
					t.Fatal(err)
				}
				nodes[i] = endings.New(below, options)
				t.Cleanup(func() { nodes[i].Close() })
			}
			var ended []string
			for i := range 100 {
				ended = append(ended, fmt.Sprintf("session:%d", i))
			}
			put(t, nodes[0], append(ended, "session:on")...)
			eventually(t, "the replica has them", func() bool { return exists(t, second, append(ended, "session:on")...) == 101 })
			second.Promote() // from here on the replica is behind
			for _, key := range ended {
				if _, ok, err := nodes[0].Take(t.Context(), key); !ok || err != nil {
					t.Fatal(key, ok, err)
				}
			}
			if err := nodes[0].Pin(t.Context(), "ended:a", []byte("1"), time.Hour); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the other node has heard of it", func() bool { return has(t, nodes[1], "ended:a") })
			if err := nodes[1-survivor].Close(); err != nil {
				t.Fatal(err)
			}
			proxy.LeadTo(second)
			first.Kill()
			node := nodes[survivor]
			eventually(t, "it works on the new master", func() bool {
				return node.Put(t.Context(), "works", []byte("1"), time.Hour) == nil
			})
			for _, key := range ended {
				if has(t, node, key) {
					t.Fatalf("%s is back", key)
				}
			}
			if !has(t, node, "ended:a") || !has(t, node, "session:on") {
				t.Error("an unrelated value has changed")
			}
			eventually(t, "the new master knows it, too", func() bool {
				return exists(t, second, ended...) == 0 && exists(t, second, "ended:a", "session:on") == 2
			})
		})
	}
}

func exists(t *testing.T, server *redistest.Server, keys ...string) int64 {
	t.Helper()
	args := []string{"EXISTS"}
	for _, key := range keys {
		args = append(args, "sso:"+key)
	}
	reply := server.MustCommand(args...)
	n, err := reply.AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}
