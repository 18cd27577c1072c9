// Package storage is the contract of storage engines: they keep small values under
// string keys for a limited time. Sessions, codes and grants are stored through it.
//
// # Engines
//
//   - storage/memory: a bounded LRU in this process, and pinned values beside it. A
//     restart forgets everything.
//   - storage/file: one bbolt file. It survives restarts and kill -9.
//   - storage/redis: Redis or Valkey, as one server, with Sentinel or as a cluster,
//     for several nodes. It needs maxmemory-policy noeviction, or the server may evict
//     pinned values.
//
// # Writing an engine
//
// Implement [Store], and call storagetest.Run in a test: the same suite tests the three
// engines above. Call [CheckKey] and [CheckWrite] first in each method, so that all
// engines refuse the same input. A store is an [Identified], too. Two optional interfaces
// tell more about a store: [Seeker] and [Timekeeper].
//
// # Failures
//
// A value that is not found is no error. An engine that cannot answer returns an error
// that wraps [ErrUnavailable], and never "not found": then callers refuse the request
// with 503, and sign no user out.
package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrClosed is returned by every method of a store after Close.
	ErrClosed = errors.New("storage: closed")

	// ErrUnavailable is returned, wrapped, if the store did not answer. Nothing is
	// known about the key.
	ErrUnavailable = errors.New("storage: unavailable")

	// ErrAway is an ErrUnavailable that took no time: the store knows that the server
	// with this key does not answer, and did not ask it. Other servers may answer for
	// other keys.
	ErrAway = fmt.Errorf("%w, as is known", ErrUnavailable)

	// ErrTimedOut is an ErrUnavailable after the whole timeout of one operation.
	ErrTimedOut = fmt.Errorf("%w in time", ErrUnavailable)

	// ErrFull is returned, wrapped, by Pin if there is no room.
	ErrFull = errors.New("storage: no room for another pinned value; raise the store's capacity")
)

// A Store keeps values for a lifetime. All methods are safe for concurrent use. An
// expired value is not found. Slices that go in or out belong to the caller: no
// method keeps or shares them.
//
// Keys have 1 to [MaxKeySize] bytes, values at most [MaxValueSize]. Other sizes are
// an error. Lifetimes are rounded to whole milliseconds.
type Store interface {
	// Get returns the value under key.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)

	// Put stores value under key, and replaces an old value. A lifetime that is not
	// positive is an error.
	Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error

	// Pin is Put for a value that must not be evicted before its lifetime is over. An
	// example is the mark that a grant has ended: without it the grant would be valid
	// again. If there is no room, Pin returns [ErrFull] or [ErrUnavailable], and
	// evicts no pinned value. A value that replaces a pinned value is pinned, too.
	Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error

	// Take returns the value under key and removes it, atomically. Of any number of
	// concurrent calls at most one gets the value.
	Take(ctx context.Context, key string) (value []byte, ok bool, err error)

	// CompareAndSwap stores next under key if the value there equals old, and reports
	// whether it did. A nil old means that there must be no value: the call creates
	// one. With any other old it never creates a value, so a value that was removed
	// meanwhile stays removed.
	CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (swapped bool, err error)

	// Scan calls fn for every value whose key begins with prefix, in no particular
	// order. If fn returns an error, Scan stops and returns it. Values that are
	// written or removed meanwhile may or may not be seen. Scan is for
	// administration: it reads the whole store, unless the store is a [Seeker].
	Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error

	// Watch calls fn after every change of a value, until stop is called: changes by
	// this handle and by others. fn must not block, and may be called from several
	// goroutines at once. Changes of one key arrive in order. Expiry may or may not
	// be reported, and a change may be reported more than once. A change by this
	// handle arrives before the method that made it returns. A call of fn that is
	// already running when stop is called may still finish.
	Watch(fn func(Change)) (stop func())

	// Close releases the resources of the store. Running calls finish, or return
	// ErrClosed.
	Close() error
}

// A Seeker is a store that finds the values under some prefixes without reading the
// whole store.
type Seeker interface {
	// Seeks reports whether Scan reads little more than the values under prefix.
	Seeks(prefix string) bool
}

// Seeks reports whether Scan of a store reads little more than the values under
// prefix. It is false for a store that is no [Seeker].
func Seeks(s Store, prefix string) bool {
	seeker, ok := s.(Seeker)
	return ok && seeker.Seeks(prefix)
}

// A Change reports that the value under Key was written, removed or expired. If Lost
// is set, the feed was interrupted: any value may have changed since the last Change,
// so values that were read before are unverified.
type Change struct {
	Key  string
	Lost bool
}
