package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

const patience = 20 * time.Second

// eventually fails the test if the condition does not become true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// changes counts the changes that a store reports.
type changes struct {
	lost atomic.Int32
	mu   sync.Mutex
	keys map[string]int
}

func watch(t *testing.T, s storage.Store) *changes {
	c := &changes{keys: make(map[string]int)}
	t.Cleanup(s.Watch(func(change storage.Change) {
		if change.Lost {
			c.lost.Add(1)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.keys[change.Key]++
	}))
	return c
}

func (c *changes) saw(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys[key] > 0
}

func mustPut(t *testing.T, s storage.Store, key string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
}

func TestALostConnectionIsReportedAndOpenedAgainByItself(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{Timeout: 10 * time.Second})
	mustPut(t, s, "a")
	c := watch(t, s)
	for i := range 5 {
		lost := c.lost.Load()
		server.KillConnections()
		// Once when it is lost, and once when it is back.
		eventually(t, "lost is reported twice", func() bool { return c.lost.Load() >= lost+2 })
		// Only the watchdog has sent a command, and changes are reported again.
		key := fmt.Sprint("after", i)
		server.MustCommand("SET", "sso:"+key, "1")
		eventually(t, "a change is reported again", func() bool { return c.saw(key) })
	}
}

func TestAChangeMadeWhileTheConnectionIsDownIsCoveredByLost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{Timeout: 10 * time.Second})
	mustPut(t, s, "a")
	// A cache reads again on Lost, and on a change of its key.
	stale := make(chan struct{}, 1)
	t.Cleanup(s.Watch(func(change storage.Change) {
		if change.Lost || change.Key == "a" {
			select {
			case stale <- struct{}{}:
			default:
			}
		}
	}))
	for i := range 20 {
		server.KillConnections()
		server.MustCommand("SET", "sso:a", fmt.Sprint(i))
		deadline := time.After(patience)
		for {
			select {
			case <-stale:
			case <-deadline:
				t.Fatalf("round %d: the cache never got Lost or the change", i)
			}
			if value, _, err := s.Get(t.Context(), "a"); err == nil && string(value) == fmt.Sprint(i) {
				break
			}
		}
	}
}

func TestAStoppedServerIsUnavailableAndComesBack(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	c := watch(t, s)
	server.Stop()
	wantUnavailable(t, s)
	lost := c.lost.Load()
	if lost == 0 {
		t.Error("the loss was not reported")
	}
	server.Restart()
	eventually(t, "the return is reported", func() bool { return c.lost.Load() > lost })
	mustPut(t, s, "b")
	if _, ok, err := s.Get(t.Context(), "a"); ok || err != nil {
		t.Errorf("the restarted server is empty, but: %v, %v", ok, err)
	}
}

func TestAFrozenServerIsUnavailable(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{Timeout: 300 * time.Millisecond})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	c := watch(t, s)
	server.Freeze()
	wantUnavailable(t, s)
	eventually(t, "the loss is reported", func() bool { return c.lost.Load() > 0 })
	lost := c.lost.Load()
	server.Thaw()
	eventually(t, "the return is reported", func() bool { return c.lost.Load() > lost })
	// It may have run the commands that it received while it was frozen, and so the
	// Take of "a".
	eventually(t, "it works again", func() bool { _, _, err := s.Get(t.Context(), "a"); return err == nil })
	mustPut(t, s, "b")
	if _, ok, err := s.Get(t.Context(), "b"); !ok || err != nil {
		t.Errorf("after the thaw: %v, %v", ok, err)
	}
}

// A gate reads for every request, so it must not wait while no server answers.
func TestAReadDoesNotWaitForAServerThatIsKnownToBeDown(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{Timeout: 300 * time.Millisecond})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	server.Freeze()
	eventually(t, "a read fails since no node answers", func() bool {
		_, _, err := s.Get(t.Context(), "a")
		return errors.Is(err, storage.ErrUnavailable) && strings.Contains(err.Error(), "no node answers")
	})
	server.Thaw()
	eventually(t, "it works again", func() bool { _, ok, err := s.Get(t.Context(), "a"); return ok && err == nil })
}

// Otherwise a write could spend a form, and the next read fail.
func TestAWriteThatSucceedsEndsTheOutageForReads(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{Watchdog: time.Hour})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	server.Stop()
	eventually(t, "a read fails since no node answers", func() bool {
		_, _, err := s.Get(t.Context(), "a")
		return errors.Is(err, storage.ErrUnavailable) && strings.Contains(err.Error(), "no node answers")
	})
	server.Restart()
	mustPut(t, s, "a")
	if _, ok, err := s.Get(t.Context(), "a"); !ok || err != nil {
		t.Errorf("a read after a write: %v, %v", ok, err)
	}
}

func TestAServerThatIsDownDoesNotStopOpen(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Stop()
	core, logged := observer.New(zap.InfoLevel)
	s := open(t, strings.Replace(server.URL(), "redis://", "redis://default:secret@", 1), redis.Options{Logger: zap.New(core)})
	c := watch(t, s)
	wantUnavailable(t, s)
	server.Restart()
	server.MustCommand("CONFIG", "SET", "requirepass", "secret")
	eventually(t, "connected", func() bool { _, _, err := s.Get(t.Context(), "a"); return err == nil })
	if c.lost.Load() == 0 {
		t.Error("a watcher that was there before the connection did not get Lost")
	}
	if logged.FilterMessageSnippet("cannot be reached").Len() != 1 {
		t.Errorf("logged %v; want one line that redis cannot be reached", logged.All())
	}
	for _, entry := range logged.All() {
		if strings.Contains(fmt.Sprint(entry), "secret") {
			t.Errorf("the password is in the log: %v", entry)
		}
	}
}

func TestAnErrorOfTheServerIsUnavailable(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{})
	eventually(t, "connected", func() bool { _, _, err := s.Get(t.Context(), "a"); return err == nil })
	server.MustCommand("RPUSH", "sso:list", "x")
	if _, ok, err := s.Get(t.Context(), "list"); ok || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a list: %v, %v", ok, err)
	}
	server.MustCommand("CONFIG", "SET", "maxmemory", "1")
	if err := s.Put(t.Context(), "a", bytes.Repeat([]byte("x"), 1000), time.Hour); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("out of memory: %v", err)
	}
}

// wantUnavailable checks that no method treats a missing answer as "not found".
func wantUnavailable(t *testing.T, s storage.Store) {
	t.Helper()
	calls := map[string]func(ctx context.Context) error{
		"Get":  func(ctx context.Context) error { _, _, err := s.Get(ctx, "a"); return err },
		"Put":  func(ctx context.Context) error { return s.Put(ctx, "a", []byte("1"), time.Hour) },
		"Take": func(ctx context.Context) error { _, _, err := s.Take(ctx, "a"); return err },
		"create": func(ctx context.Context) error {
			_, err := s.CompareAndSwap(ctx, "a", nil, []byte("1"), time.Hour)
			return err
		},
		"swap": func(ctx context.Context) error {
			_, err := s.CompareAndSwap(ctx, "a", []byte("0"), []byte("1"), time.Hour)
			return err
		},
		"Scan": func(ctx context.Context) error { return s.Scan(ctx, "", func(string, []byte) error { return nil }) },
	}
	for name, call := range calls {
		err := call(t.Context())
		if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v; want ErrUnavailable and no deadline of the caller's", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		<-ctx.Done()
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s with a context that ended: %v", name, err)
		}
		cancel()
	}
}

// Every connection is killed again and again. Writes may be late, but must not be lost.
// No value may be taken twice, or disappear with a "not found".
func TestWritesAndTakesSurviveKilledConnections(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{Timeout: 10 * time.Second})
	mustPut(t, s, "a")
	done := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if _, err := server.Command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond)
			}
		}
	})
	var workers sync.WaitGroup
	var unknown atomic.Int32
	for w := range 4 {
		workers.Go(func() {
			for i := range 300 {
				key := fmt.Sprintf("%d-%d", w, i)
				if err := s.Put(t.Context(), key, []byte(key), time.Hour); err != nil {
					t.Errorf("putting: %v", err)
					return
				}
				value, ok, err := s.Take(t.Context(), key)
				switch {
				case errors.Is(err, storage.ErrUnavailable):
					unknown.Add(1)
				case err != nil || !ok || string(value) != key:
					t.Errorf("taking %q: %q, %v, %v", key, value, ok, err)
				}
				// Whatever Take returned, the value is removed.
				if _, ok, err := s.Get(t.Context(), key); ok || err != nil {
					t.Errorf("after taking %q: %v, %v", key, ok, err)
				}
				swapped, err := s.CompareAndSwap(t.Context(), "created-"+key, nil, []byte("1"), time.Hour)
				if err != nil && !errors.Is(err, storage.ErrUnavailable) || err == nil && !swapped {
					t.Errorf("creating %q: %v, %v; no other caller creates it", key, swapped, err)
				}
			}
		})
	}
	workers.Wait()
	close(done)
	killer.Wait()
	t.Logf("%d takes ended as unknown", unknown.Load())
}

func TestACancelledCallerDoesNotFailOthersThatWaitForTheSameConnection(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{Timeout: 10 * time.Second})
	mustPut(t, s, "a")
	for range 100 {
		server.KillConnections()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%2 == 0 {
					go cancel()
				}
				_, ok, err := s.Get(ctx, "a")
				if i%2 == 1 && (err != nil || !ok) {
					t.Errorf("a patient caller: %v, %v", ok, err)
				}
				if i%2 == 0 && err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("a cancelled caller: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

func TestALostNodeOfAClusterIsReportedAndComesBack(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := open(t, cluster.URL(), redis.Options{Timeout: 10 * time.Second})
	mustPut(t, s, "a")
	c := watch(t, s)
	for i, server := range cluster.Servers {
		lost := c.lost.Load()
		server.KillConnections()
		eventually(t, "lost is reported twice", func() bool { return c.lost.Load() >= lost+2 })
		// Changes of keys of every node are reported again, though this store has read
		// none of them.
		other := open(t, cluster.URL(), redis.Options{Timeout: 10 * time.Second})
		for k := range 12 {
			key := fmt.Sprintf("after-%d-%d", i, k)
			mustPut(t, other, key)
			eventually(t, "the change of "+key, func() bool { return c.saw(key) })
		}
	}
}

func TestCloseStopsEverythingThatOpenStarted(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	down := redistest.Start(t)
	down.Stop()
	before := runtime.NumGoroutine()
	for range 5 {
		s := open(t, server.URL(), redis.Options{})
		if err := s.Put(t.Context(), "a", []byte("1"), time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := open(t, down.URL(), redis.Options{}).Close(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "no more goroutines than before", func() bool { return runtime.NumGoroutine() <= before })
}
