// Package storage keeps small values under string keys for a limited time. It
// is all that sessions, codes and grants know of where they are kept.
//
// Three engines implement [Store]:
//
//   - storage/memory: a bounded LRU in this process, and beside it what is
//     pinned; a restart forgets it.
//   - storage/file: one bbolt file; survives restarts and kill -9.
//   - storage/redis: Redis or Valkey, one server, Sentinel or a cluster, shared
//     by nodes; with maxmemory-policy noeviction, or it forgets what is pinned,
//     too.
//
// One suite, storage/storagetest, holds all of them to the same contract.
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

	// ErrUnavailable is returned, wrapped, when the store did not answer:
	// nothing is known about the key. Callers fail closed and sign nobody out.
	ErrUnavailable = errors.New("storage: unavailable")

	// ErrAway is an ErrUnavailable that cost no time: the store knows that whoever
	// keeps the key does not answer, and did not ask. Where several servers keep
	// values, others may answer.
	ErrAway = fmt.Errorf("%w, as is known", ErrUnavailable)

	// ErrTimedOut is an ErrUnavailable that took all the time that the store gives
	// one operation.
	ErrTimedOut = fmt.Errorf("%w in time", ErrUnavailable)

	// ErrFull is returned, wrapped, by Pin where there is no room.
	ErrFull = errors.New("storage: no room for another pinned value; raise the store's capacity")
)

// A Store keeps values for a lifetime. All methods are safe for concurrent
// use. "Not found" is not an error; an expired value is not found. Values
// handed in and out are the caller's: no method keeps or shares the slice.
//
// Keys are 1 to [MaxKeySize] bytes, values at most [MaxValueSize]; others are
// refused. Lifetimes count in whole milliseconds.
type Store interface {
	// Get returns the value under key.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)

	// Put stores value under key, replacing what is there. A lifetime that is
	// not positive is an error.
	Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error

	// Pin is Put for a value that is kept until its lifetime is over, whatever
	// else comes: that something has ended, which would go on without it. Where
	// there is no room, it returns [ErrFull] or [ErrUnavailable], and forgets no
	// pinned value. What replaces a pinned value is pinned.
	Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error

	// Take returns the value under key and removes it, atomically: of any
	// number of concurrent calls at most one gets it.
	Take(ctx context.Context, key string) (value []byte, ok bool, err error)

	// CompareAndSwap stores next under key if the value there is old, and says
	// whether it did. A nil old means that nothing may be there: that call
	// creates. With any other old it never creates, so what was removed
	// meanwhile stays removed.
	CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (swapped bool, err error)

	// Scan calls fn for every value whose key begins with prefix, in no
	// particular order, until fn returns an error, which Scan then returns.
	// Values that come or go meanwhile may or may not be seen. Scan is for
	// administration: it reads everything, unless the store is a [Seeker].
	Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error

	// Watch calls fn after every change of a value, whoever made it, this
	// handle included, until stop is called. fn must not block, and may be
	// called from several goroutines at once. Changes of one key arrive in
	// order; expiry may or may not be reported, and a change may be reported
	// more than once. A change made through this handle arrives before the
	// method that made it returns. What is on its way when stop is called
	// may still arrive.
	Watch(fn func(Change)) (stop func())

	// Close releases what the store holds. Calls that run are let finish or
	// return ErrClosed.
	Close() error
}

// A Seeker is a store that finds the values under some prefixes without reading
// everything.
type Seeker interface {
	// Seeks says whether Scan reads little more than what it finds under prefix.
	Seeks(prefix string) bool
}

// Seeks says whether Scan of a store reads little more than what it finds under
// prefix.
func Seeks(s Store, prefix string) bool {
	seeker, ok := s.(Seeker)
	return ok && seeker.Seeks(prefix)
}

// A Change says that the value under Key was written, removed or expired.
// With Lost, the feed was interrupted, so any value may have changed since
// the last Change: what was read before counts as unverified.
type Change struct {
	Key  string
	Lost bool
}
