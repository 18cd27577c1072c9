// Package file is the storage engine that keeps values in one bbolt file. Values survive a
// restart and a sudden end of the process: an acknowledged write is on the disk.
//
// # One process
//
// One process at a time can open the file. Open waits for another process to close it.
//
// # Damage
//
// bbolt trusts the offsets in its file: a damaged page makes it panic, read unmapped memory,
// or recurse until the process dies. So this package reads pages itself and checks every
// offset, the order of keys and the depth. It reads the whole file before bbolt opens it,
// and before each change the pages that the change reads. A panic of bbolt becomes an
// error. After damage was found, nothing is written.
//
// # Size
//
// Commits do not write the list of free pages, which is large after a mass expiry; it is
// built when the file is opened. The sweep removes a hundred values in a transaction, and
// then rests as long as that took. A file that is mostly free is compacted while it is in
// use.
//
// # A full disk
//
// The file keeps a reserve on the disk after its used pages, for writes that only remove.
// So sessions and grants can be ended on a full disk. Opening a file writes nothing, so a
// full disk does not prevent a start.
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

	"github.com/caddy-sso/caddy-sso/internal/storagefeed"
	"github.com/caddy-sso/caddy-sso/storage"
)

const defaultLockTimeout = 5 * time.Second

// Options are the options of a [Store]. The zero value is ready to use.
type Options struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// LockTimeout is how long Open waits while another process has the file open.
	// Default: 5 seconds.
	LockTimeout time.Duration

	// Damaged is called, once, when the file is found to be damaged. Default: no
	// call; callers only get the errors.
	Damaged func(error)
}

// A Store is an open file.
type Store struct {
	path    string // with symbolic links resolved
	now     func() time.Time
	feed    storagefeed.Feed
	damaged func(error)
	damage  atomic.Pointer[damage] // the first damage that was found

	swap sync.RWMutex // held for reading to read the file, and for writing to replace open
	open *handle

	tasks   chan task
	full    bool                // the last write failed, though there seemed to be room; used by the writer only
	touched map[string]struct{} // keys that were written since a compaction began; used by the writer only

	compacting sync.Mutex

	identity string // the absolute path

	closed  atomic.Bool
	stop    chan struct{} // closed by Close
	running sync.WaitGroup
}

// Open opens the file at path. It creates the file and its folder if they do not exist,
// readable for this user only. Only one process at a time can open the file. A damaged
// file is an error.
func Open(path string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.Damaged == nil {
		o.Damaged = func(error) {}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { //nolint:gosec // the operator chose the path
		return nil, fmt.Errorf("creating the folder of the storage file: %w; choose a path where Caddy's user may write", err)
	}
	opened, err := openFile(path, o.LockTimeout)
	if err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a link may be opened, and its target may have been created just now
	}
	_ = os.Remove(path + copySuffix) //nolint:gosec // a copy left by a compaction that was killed, next to the path that the operator chose
	s := &Store{
		path: path, now: o.Now, damaged: o.Damaged, open: opened, identity: path,
		tasks: make(chan task), stop: make(chan struct{}),
	}
	if absolute, err := filepath.Abs(path); err == nil {
		s.identity = absolute
	}
	s.running.Go(s.writeUntilClosed)
	s.running.Go(s.sweepUntilClosed)
	return s, nil
}

// openFile checks a file and opens it.
func openFile(path string, wait time.Duration) (*handle, error) {
	err := verify(path, wait)
	var opened *handle
	if err == nil {
		opened, err = openHandle(path, bbolt.Options{Timeout: wait, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	}
	if err == nil {
		if err = opened.prepare(); err == nil {
			return opened, nil
		}
		err = errors.Join(err, opened.close(errors.Is(err, errDamaged)))
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("opening %s: still locked after %s: another process has the file open; "+
			"stop that process, or give each process its own file: %w", path, wait, err)
	case errors.Is(err, errDamaged):
		return nil, fmt.Errorf("opening %s: %w; %s", path, err, remedy)
	default:
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
}

// prepare creates the buckets. If they exist, it writes nothing, since the disk may be
// full.
func (h *handle) prepare() error {
	missing := false
	err := h.view(func(t *tree) error {
		for _, name := range [][]byte{valuesBucket, expiryBucket} {
			_, i, err := t.find(t.root, name, new([]byte))
			if err != nil {
				return err
			}
			missing = missing || i < 0
		}
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return h.update(createBuckets)
}

// view runs do on the committed state of the file.
func (s *Store) view(do func(*tree) error) error {
	s.swap.RLock()
	defer s.swap.RUnlock()
	return s.open.view(do)
}

// Get implements [storage.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.ready(ctx); err != nil {
		return nil, false, err
	}
	if err := storage.CheckKey(key); err != nil {
		return nil, false, err
	}
	var record []byte
	err := s.view(func(t *tree) (err error) {
		record, err = t.get(valuesBucket, []byte(key))
		return err
	})
	if err == nil && record != nil && len(record) < expirySize {
		err = damagef("the value of a key has no expiry")
	}
	if err != nil {
		return nil, false, s.failed("reading from the file store", err)
	}
	if record == nil || expired(record, s.now()) {
		return nil, false, nil
	}
	return record[expirySize:], true, nil
}

// Put implements [storage.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := storage.CheckWrite(key, value, lifetime); err != nil {
		return err
	}
	err := s.update(func(w *writing) error { return w.put(key, value, s.now().Add(lifetime)) })
	if err != nil {
		return s.failed("writing to the file store", err)
	}
	s.feed.Send(storage.Change{Key: key})
	return nil
}

// Pin implements [storage.Store]. This engine never evicts values.
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
	// Most missing keys are guesses of unauthenticated clients. They cost no write
	// transaction.
	if _, ok, err := s.Get(ctx, key); err != nil || !ok {
		return nil, false, err
	}
	var taken []byte
	var ok bool
	// The function may run twice, so it sets both each time.
	err := s.free(func(w *writing) (err error) {
		if taken, ok, err = w.get(key, s.now()); err != nil {
			return err
		}
		return w.remove(key)
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
	err := s.update(func(w *writing) error {
		now := s.now()
		value, ok, err := w.get(key, now)
		if err != nil {
			return err
		}
		swapped = ok == (old != nil) && bytes.Equal(value, old)
		if !swapped {
			return nil
		}
		return w.put(key, next, now.Add(lifetime))
	})
	if err != nil {
		return false, s.failed("swapping in the file store", err)
	}
	if swapped {
		s.feed.Send(storage.Change{Key: key})
	}
	return swapped, nil
}

// Watch implements [storage.Store]. Only this handle can change the file, so the feed
// is never interrupted.
func (s *Store) Watch(fn func(storage.Change)) (stop func()) { return s.feed.Watch(fn) }

// Identity implements [storage.Identified]. A file never loses an acknowledged write,
// so its identity never changes. A copy of the file elsewhere has another identity.
func (s *Store) Identity(string) string { return s.identity }

// AskIdentity implements [storage.Identified].
func (s *Store) AskIdentity(context.Context, string) (string, error) { return s.identity, nil }

// Close implements [storage.Store]. It waits for running calls.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.feed.Close()
	close(s.stop)
	s.running.Wait()
	s.swap.Lock() // after running reads
	defer s.swap.Unlock()
	if err := s.open.close(s.damage.Load() != nil); err != nil {
		return fmt.Errorf("closing the file store: %w", err)
	}
	return nil
}

// Status returns the size of the file, and the damage if there is any.
func (s *Store) Status(context.Context) storage.Status {
	status := &storage.FileStatus{Path: s.path, Unused: s.unused()}
	if found, err := os.Stat(s.path); err == nil {
		status.Bytes = found.Size()
	}
	if found := s.damage.Load(); found != nil {
		status.Problem = found.err.Error()
	}
	return storage.Status{File: status}
}

// unused returns how many bytes of the file are unused.
func (s *Store) unused() int64 {
	s.swap.RLock()
	defer s.swap.RUnlock()
	stats := s.open.db.Stats()
	return int64(stats.FreePageN+stats.PendingPageN) * int64(s.open.pageSize)
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

var (
	_ storage.Store      = (*Store)(nil)
	_ storage.Identified = (*Store)(nil)
)
