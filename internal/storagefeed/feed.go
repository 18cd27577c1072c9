// Package storagefeed sends the changes of one store to its watchers.
package storagefeed

import (
	"slices"
	"sync"

	"github.com/caddy-sso/caddy-sso/storage"
)

// A Feed sends each change to all watchers. The zero value is ready to use.
//
// It has no queue: Send calls every watcher on the caller's goroutine before it
// returns. So changes made one after the other arrive in that order. Changes made at
// the same time need no order: a change carries no value, and is sent only after its
// value can be read.
type Feed struct {
	mu       sync.RWMutex
	watchers []*watcher // replaced as a whole, never changed
	closed   bool
}

type watcher struct{ fn func(storage.Change) }

// Watch calls fn for every change until stop is called.
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

// Send calls every watcher. It holds no lock meanwhile, so a watcher may use the store,
// and may stop itself.
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
