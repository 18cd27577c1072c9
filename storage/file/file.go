// Package file keeps values in one bbolt file. They survive a restart of the
// process and its sudden death: what a method has acknowledged is on the disk.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/internal/feed"
)

const (
	defaultLockTimeout = 5 * time.Second

	// batchDelay is how long a write waits for others to share its fsync.
	// bbolt's own default of 10 ms would be the whole cost of a lone sign-in.
	batchDelay = time.Millisecond
)

// Options of a [Store]. The zero value is ready to use.
type Options struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// LockTimeout is how long Open waits for another process to let go of
	// the file. Default: 5 seconds.
	LockTimeout time.Duration
}

// A Store is one open file.
type Store struct {
	db   *bbolt.DB
	path string
	now  func() time.Time
	feed feed.Feed

	identity string // where the file is

	closed  atomic.Bool
	stop    chan struct{} // closed by Close
	sweeper sync.WaitGroup
}

// Open opens the file at path, and makes it and its folder where they are
// missing, readable to this user alone. One process at a time can have it open.
func Open(path string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { //nolint:gosec // the operator chose the path
		return nil, fmt.Errorf("making the folder of the store: %w", err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: o.LockTimeout, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("opening %s: still locked after %s: another process has the file open; "+
			"stop that process, or give each process a file of its own: %w", path, o.LockTimeout, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.MaxBatchDelay = batchDelay
	if err := db.Update(createBuckets); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing %s: %w", path, err), db.Close())
	}
	s := &Store{db: db, path: path, now: o.Now, stop: make(chan struct{}), identity: path}
	if absolute, err := filepath.Abs(path); err == nil {
		s.identity = absolute
	}
	s.sweeper.Go(s.sweepUntilClosed)
	return s, nil
}

// Get implements [storage.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.ready(ctx); err != nil {
		return nil, false, err
	}
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	var found []byte
	var ok bool
	err := s.db.View(func(tx *bbolt.Tx) error {
		var value []byte
		value, ok = live(tx, key, s.now())
		found = clone(value)
		return nil
	})
	if err != nil {
		return nil, false, s.failed("reading from the file store", err)
	}
	if !ok {
		return nil, false, nil
	}
	return found, true, nil
}

// Put implements [storage.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := storage.CheckWrite(key, value, lifetime); err != nil {
		return err
	}
	err := s.db.Batch(func(tx *bbolt.Tx) error {
		return write(tx, key, value, s.now().Add(lifetime))
	})
	if err != nil {
		return s.failed("writing to the file store", err)
	}
	s.feed.Send(storage.Change{Key: key})
	return nil
}

// Pin implements [storage.Store]. Nothing here is forgotten to make room.
func (s *Store) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return s.Put(ctx, key, value, lifetime)
}

// Take implements [storage.Store].
func (s *Store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.ready(ctx); err != nil {
		return nil, false, err
	}
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	// Most keys that are not there are strangers' guesses: those cost no
	// write transaction.
	if _, ok, err := s.Get(ctx, key); err != nil || !ok {
		return nil, false, err
	}
	var taken []byte
	var ok bool
	// The function may run twice, so it sets both anew each time.
	err := s.db.Batch(func(tx *bbolt.Tx) error {
		var value []byte
		value, ok = live(tx, key, s.now())
		taken = clone(value)
		return remove(tx, key)
	})
	if err != nil {
		return nil, false, s.failed("taking from the file store", err)
	}
	if !ok {
		return nil, false, nil
	}
	s.feed.Send(storage.Change{Key: key})
	return taken, true, nil
}

// CompareAndSwap implements [storage.Store].
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if err := s.ready(ctx); err != nil {
		return false, err
	}
	if err := storage.CheckWrite(key, next, lifetime); err != nil {
		return false, err
	}
	var swapped bool
	err := s.db.Batch(func(tx *bbolt.Tx) error {
		now := s.now()
		value, ok := live(tx, key, now)
		swapped = ok == (old != nil) && bytes.Equal(value, old)
		if !swapped {
			return nil
		}
		return write(tx, key, next, now.Add(lifetime))
	})
	if err != nil {
		return false, s.failed("swapping in the file store", err)
	}
	if swapped {
		s.feed.Send(storage.Change{Key: key})
	}
	return swapped, nil
}

// Watch implements [storage.Store]. Nobody but this handle can change the
// file, so the feed is never lost.
func (s *Store) Watch(fn func(storage.Change)) (stop func()) { return s.feed.Watch(fn) }

// Identity implements [storage.Identified]. What a file has acknowledged is on the
// disk, so it is the same for ever; that of a copy elsewhere is another one.
func (s *Store) Identity(string) string { return s.identity }

// AskIdentity implements [storage.Identified].
func (s *Store) AskIdentity(context.Context, string) (string, error) { return s.identity, nil }

// Close implements [storage.Store]. It waits for the calls that run.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.feed.Close()
	close(s.stop)
	s.sweeper.Wait()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the file store: %w", err)
	}
	return nil
}

// Status says how large the file is.
func (s *Store) Status(context.Context) storage.Status {
	status := &storage.FileStatus{Path: s.path}
	if found, err := os.Stat(s.path); err == nil {
		status.Bytes = found.Size()
	}
	return storage.Status{File: status}
}

func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return storage.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("using the file store: %w", err)
	}
	return nil
}

// failed tells a store that was closed meanwhile from a disk that failed.
func (s *Store) failed(doing string, err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return storage.ErrClosed
	}
	return fmt.Errorf("%s: %w: %w", doing, storage.ErrUnavailable, err)
}

var (
	_ storage.Store      = (*Store)(nil)
	_ storage.Identified = (*Store)(nil)
)
