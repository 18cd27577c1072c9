package storagetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// patience is how long the suite waits for an event that must come. It measures
// nothing: a test that exceeds it fails.
const patience = 15 * time.Second

// A log collects changes.
type log struct {
	mu      sync.Mutex
	changes []storage.Change
	news    chan struct{}
}

func watch(s storage.Store) (*log, func()) {
	l := &log{news: make(chan struct{}, 1)}
	return l, s.Watch(l.add)
}

func (l *log) add(c storage.Change) {
	l.mu.Lock()
	l.changes = append(l.changes, c)
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
}

func (l *log) count(key string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.changes {
		if c.Key == key && !c.Lost {
			n++
		}
	}
	return n
}

// wait returns once key was reported more often than seen.
func (l *log) wait(t *testing.T, key string, seen int) {
	t.Helper()
	deadline := time.After(patience)
	for l.count(key) <= seen {
		select {
		case <-l.news:
		case <-deadline:
			t.Fatalf("the change of %q never came", key)
		}
	}
}

func testWatch(t *testing.T, o Opened) {
	l, stop := watch(o.Store)
	defer stop()
	l2, stop2 := watch(o.Store)
	steps := []struct {
		name string
		do   func() error
	}{
		{"put", func() error { return o.Store.Put(t.Context(), "a", []byte("1"), long) }},
		{"pin", func() error { return o.Store.Pin(t.Context(), "a", []byte("1"), long) }},
		{"put again", func() error { return o.Store.Put(t.Context(), "a", []byte("1"), long) }},
		{"swap", func() error {
			_, err := o.Store.CompareAndSwap(t.Context(), "a", []byte("1"), []byte("2"), long)
			return err
		}},
		{"take", func() error { _, _, err := o.Store.Take(t.Context(), "a"); return err }},
		{"create", func() error {
			_, err := o.Store.CompareAndSwap(t.Context(), "a", nil, []byte("2"), long)
			return err
		}},
	}
	for _, step := range steps {
		seen, seen2 := l.count("a"), l2.count("a")
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if l.count("a") <= seen || l2.count("a") <= seen2 {
			t.Fatalf("%s returned before it was reported", step.name)
		}
	}
	stop2()
	put(t, o.Store, "b", "1")
	if n := l2.count("b"); n != 0 {
		t.Fatalf("a stopped watcher was called %d times", n)
	}
	if l.count("b") == 0 {
		t.Fatal("stopping one watcher stopped the other")
	}
}

func testWatchLast(t *testing.T, o Opened) {
	seen := make(chan string, 10_000)
	stop := o.Store.Watch(func(c storage.Change) {
		if c.Key != "a" {
			return
		}
		if value, ok, err := o.Store.Get(t.Context(), "a"); err == nil && ok {
			seen <- string(value)
		}
	})
	if o.Second != nil {
		// A handle that hears of changes from elsewhere must not be asked
		// from inside its own callback: the answer comes the same way.
		stop()
		wantNone(t, o.Store, "a") // connected: before, it could only be told "lost"
		l, stopLog := watch(o.Store)
		defer stopLog()
		other := o.Second(t)
		put(t, other, "a", "1")
		l.wait(t, "a", 0)
		want(t, o.Store, "a", "1")
		return
	}
	defer stop()
	const n = 100
	for i := range n {
		put(t, o.Store, "a", fmt.Sprint(i))
		var last string
		for len(seen) > 0 {
			last = <-seen
		}
		if last != fmt.Sprint(i) {
			t.Fatalf("after change %d its watcher read %q", i, last)
		}
	}
}

func testWatchSilence(t *testing.T, o Opened) {
	l, stop := watch(o.Store)
	defer stop()
	wantNone(t, o.Store, "b")
	if _, _, err := o.Store.Take(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if swap(t, o.Store, "b", []byte("0"), []byte("2")) {
		t.Fatal("swapped nothing")
	}
	put(t, o.Store, "last", "1")
	l.wait(t, "last", 0)
	if l.count("b") != 0 {
		t.Fatalf("reported without a change: %v", l.changes)
	}
}

func testWatchReentrant(t *testing.T, o Opened) {
	if o.Second != nil {
		// See testWatchLast: here only stopping from inside is allowed.
		var stop func()
		ready, called := make(chan struct{}), make(chan struct{}, 100)
		stop = o.Store.Watch(func(storage.Change) {
			<-ready
			stop()
			called <- struct{}{}
		})
		close(ready)
		put(t, o.Store, "a", "1")
		<-called
		return
	}
	var stop func()
	calls := 0
	stop = o.Store.Watch(func(storage.Change) {
		calls++
		stop()
		put(t, o.Store, "b", "1")
	})
	put(t, o.Store, "a", "1")
	if calls != 1 {
		t.Fatalf("a watcher that stopped itself was called %d times", calls)
	}
	want(t, o.Store, "b", "1")
}

func testWatchSecond(t *testing.T, o Opened) {
	if o.Second == nil {
		// One handle is all this engine can have; its second watcher stands in.
		l, stop := watch(o.Store)
		defer stop()
		put(t, o.Store, "a", "1")
		l.wait(t, "a", 0)
		return
	}
	second := o.Second(t)
	wantNone(t, second, "a")
	l, stop := watch(second)
	defer stop()
	put(t, o.Store, "a", "1")
	l.wait(t, "a", 0)
	want(t, second, "a", "1")
	seen := l.count("a")
	if _, _, err := o.Store.Take(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	l.wait(t, "a", seen)
	wantNone(t, second, "a")
}
