package file

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/caddy-sso/caddy-sso/storage"
)

// guarded runs what uses bbolt. A panic in it, and a fault where it reads the
// mapped file, become an error: bbolt believes the file.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if found := recover(); found != nil {
			err = damagef("%v", found)
		}
	}()
	return do()
}

// A handle is a file that is open. bbolt opens it, and we read from the same one.
type handle struct {
	db       *bbolt.DB
	file     *os.File
	pageSize int

	committed atomic.Int64 // the number of the last transaction that was written
	reserved  int64        // up to where the file is on the disk; the writer's, 0: not known
}

// remedy is what an operator does about a damaged file.
const remedy = "restore it from a backup, or move it away: then a new one is made, and everybody signs in again"

// openHandle opens a file that has been verified. A file that is damaged all the
// same is an error, and not left locked.
//
// A process that waits for the lock has the file open already. If a compacted copy
// replaced the file meanwhile, the locked file is gone, and the new one is opened.
func openHandle(path string, o bbolt.Options) (*handle, error) {
	for {
		h, err := openLocked(path, o)
		if err != nil {
			return nil, err
		}
		has, err := h.file.Stat()
		if err != nil {
			return nil, errors.Join(err, h.close(false))
		}
		if named, err := os.Stat(path); err == nil && os.SameFile(has, named) { //nolint:gosec // the operator chose the path
			return h, nil
		}
		if err := h.close(false); err != nil {
			return nil, err
		}
	}
}

func openLocked(path string, o bbolt.Options) (*handle, error) {
	h := new(handle)
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode) //nolint:gosec // the operator chose the path
		h.file = f
		return f, err
	}
	err := guarded(func() (err error) {
		h.db, err = bbolt.Open(path, 0o600, &o)
		return err
	})
	if err == nil {
		h.pageSize = h.db.Info().PageSize
		m, err := h.meta()
		if err != nil {
			return nil, errors.Join(err, h.close(true))
		}
		h.committed.Store(int64(m.tx)) //nolint:gosec // counted from 1
		return h, nil
	}
	if errors.Is(err, errDamaged) && h.file != nil {
		h.file.Close()
	}
	var system *fs.PathError
	var number syscall.Errno
	switch {
	case errors.Is(err, errDamaged), errors.Is(err, bolterrors.ErrTimeout), errors.As(err, &system), errors.As(err, &number):
		return nil, err
	default: // what bbolt says of meta pages
		return nil, damagef("%v", err)
	}
}

// The meta pages are the first two. Each has, after the header of a page:
const (
	metaMagic    = 0  // uint32
	metaFreelist = 32 // uint64
	metaPages    = 40 // uint64
	metaTx       = 48 // uint64
	metaChecksum = 56 // uint64, of what is before it
	metaSize     = 64

	magic      = 0xED0CDAED
	noFreelist = ^uint64(0)
)

// A meta is what a meta page says.
type meta struct {
	pages, tx uint64
	freelist  uint64 // the page; 0: there is none
}

// meta returns the later of the meta pages that are whole. bbolt itself panics
// where none is, with locks held.
func (h *handle) meta() (meta, error) {
	var found meta
	var buf [metaSize]byte
	for i := range 2 {
		if _, err := h.file.ReadAt(buf[:], int64(i*h.pageSize+pageHeader)); err != nil {
			return meta{}, unreadable("meta page", int64(i), err)
		}
		sum := fnv.New64a()
		sum.Write(buf[:metaChecksum])
		tx := order.Uint64(buf[metaTx:])
		whole := order.Uint32(buf[metaMagic:]) == magic && order.Uint64(buf[metaChecksum:]) == sum.Sum64()
		if !whole || found.pages > 0 && tx < found.tx {
			continue
		}
		found = meta{pages: order.Uint64(buf[metaPages:]), tx: tx, freelist: order.Uint64(buf[metaFreelist:])}
	}
	if found.pages == 0 {
		return meta{}, damagef("both meta pages are scrambled")
	}
	if found.freelist == noFreelist {
		found.freelist = 0
	}
	return found, nil
}

// sound looks at what bbolt reads when a transaction begins: the meta pages, and
// a file that is as long as they say.
func (h *handle) sound() error {
	m, err := h.meta()
	if err != nil {
		return err
	}
	info, err := h.file.Stat()
	if err != nil {
		return fmt.Errorf("looking at the file: %w", err)
	}
	if uint64(info.Size())/uint64(h.pageSize) < m.pages { //nolint:gosec // not negative
		return damagef("it was cut off: of %d pages %d are left", m.pages, info.Size()/int64(h.pageSize))
	}
	return nil
}

// begin begins a transaction, if bbolt can.
func (h *handle) begin(writable bool) (*bbolt.Tx, error) {
	if err := h.sound(); err != nil {
		return nil, err
	}
	least := int(h.committed.Load())
	tx, err := h.db.Begin(writable)
	if err != nil {
		return nil, fmt.Errorf("beginning a transaction: %w", err)
	}
	// bbolt goes by the older of the meta pages where the newer one is scrambled,
	// and then takes pages for unused that are not.
	if tx.ID() < least || writable && tx.ID() != least+1 {
		return nil, errors.Join(damagef("a meta page is not the one that was written last"), tx.Rollback())
	}
	return tx, nil
}

// view runs do on what is written now.
func (h *handle) view(do func(*tree) error) error {
	return guarded(func() error {
		tx, err := h.begin(false)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // of a transaction that reads
		return do(h.tree(tx))
	})
}

// update runs do in a transaction. It does not use bbolt's Update, which after a
// panic rolls back by reading the whole file, on a goroutine whose panics cannot be
// caught.
func (h *handle) update(do func(*bbolt.Tx) error) error {
	return guarded(func() error {
		tx, err := h.begin(true)
		if err != nil {
			return err
		}
		id := tx.ID()
		defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
		if err := do(tx); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		h.committed.Store(int64(id))
		return nil
	})
}

// closeTimeout is how long a damaged file may take to be closed: a panic may have
// left it locked within bbolt.
const closeTimeout = time.Second

// close closes the file. One that is damaged is let go of, come what may, so that
// another can be opened in its place.
func (h *handle) close(isDamaged bool) error {
	if !isDamaged {
		return h.db.Close()
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = guarded(h.db.Close) // a file that is damaged has been reported
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
	h.file.Close() // and with it goes the lock; it may be closed already
	return nil
}

// A damage is what was found first. It is the error of all calls that follow.
type damage struct{ err error }

// harmed records that the file is damaged, and calls Options.Damaged, once.
func (s *Store) harmed(err error) {
	found := &damage{fmt.Errorf("%s: %w; until the server is restarted nothing is written to it, and what it does not have cannot be told; %s", s.path, err, remedy)}
	if s.damage.CompareAndSwap(nil, found) {
		s.damaged(found.err)
	}
}

// failed tells a store that was closed meanwhile from a disk that failed, and
// from a file that is damaged.
func (s *Store) failed(doing string, err error) error {
	if errors.Is(err, storage.ErrClosed) || errors.Is(err, bolterrors.ErrDatabaseNotOpen) || errors.Is(err, os.ErrClosed) {
		return storage.ErrClosed
	}
	if errors.Is(err, errDamaged) {
		s.harmed(err)
	}
	return fmt.Errorf("%s: %w: %w", doing, storage.ErrUnavailable, err)
}
