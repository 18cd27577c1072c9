// Package storagefeed hands the changes of one store to its watchers.
package storagefeed

import (
	"slices"
	"sync"

	"github.com/caddy-sso/caddy-sso/storage"
)

// A Feed fans changes out. The zero value is ready to use.
//
// It keeps no queue: Send calls every watcher before it returns, on the
// goroutine of the caller. So changes made one after the other arrive in that
// order. Changes made at the same time have no order to keep: a change carries
// no value, and each is sent when its value can be read already.
type Feed struct {
	mu       sync.RWMutex
	watchers []*watcher // replaced, never changed in place
	closed   bool
}

type watcher struct{ fn func(storage.Change) }

// Watch adds fn until stop is called.
func (f *Feed) Watch(fn func(storage.Change)) (stop func()) {
	w := &watcher{fn: fn}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return func() {}
	}
	f.watchers = append(slices.Clone(f.watchers), w)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers = slices.DeleteFunc(slices.Clone(f.watchers), func(other *watcher) bool { return other == w })
	}
}

// Send calls every watcher. The lock is not held meanwhile, so a watcher may
// use the store and may stop itself.
func (f *Feed) Send(c storage.Change) {
	f.mu.RLock()
	watchers := f.watchers
	f.mu.RUnlock()
	for _, w := range watchers {
		w.fn(c)
	}
}

// Close drops all watchers.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed, f.watchers = true, nil
}
