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

// guarded runs code that uses bbolt, which trusts the file. It turns a panic, or a
// fault in the mapped file, into an error.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if found := recover(); found != nil {
			err = damagef("%v", found)
		}
	}()
	return do()
}

// A handle is an open file. bbolt opens it, and we read from the same file.
type handle struct {
	db       *bbolt.DB
	file     *os.File
	pageSize int

	committed atomic.Int64 // the ID of the last transaction that was written
	reserved  int64        // the size up to which the disk has room for the file, 0: unknown; used by the writer only
}

// remedy tells an operator what to do with a damaged file.
const remedy = "restore it from a backup, or move it away: then a new file is created, and all users must sign in again"

// openHandle opens a file that has been verified. If it is damaged nevertheless,
// openHandle returns an error and leaves no lock.
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
	default: // errors of bbolt about meta pages
		return nil, damagef("%v", err)
	}
}

// The first two pages are the meta pages. After the page header they have:
const (
	metaMagic    = 0  // uint32
	metaFreelist = 32 // uint64
	metaPages    = 40 // uint64
	metaTx       = 48 // uint64
	metaChecksum = 56 // uint64, of the fields before it
	metaSize     = 64

	magic      = 0xED0CDAED
	noFreelist = ^uint64(0)
)

// A meta is the content of a meta page.
type meta struct {
	pages, tx uint64
	freelist  uint64 // a page number; 0: none
}

// meta returns the newer of the intact meta pages. If there is none, bbolt would panic
// with locks held.
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
		return meta{}, damagef("both meta pages are corrupt")
	}
	if found.freelist == noFreelist {
		found.freelist = 0
	}
	return found, nil
}

// checkSize checks what bbolt reads at the beginning of a transaction: the meta pages,
// and that the file has the size that they give.
func (h *handle) checkSize() error {
	m, err := h.meta()
	if err != nil {
		return err
	}
	info, err := h.file.Stat()
	if err != nil {
		return fmt.Errorf("reading the size of the file: %w", err)
	}
	if uint64(info.Size())/uint64(h.pageSize) < m.pages { //nolint:gosec // not negative
		return damagef("it was cut off: it had %d pages and now has %d", m.pages, info.Size()/int64(h.pageSize))
	}
	return nil
}

// begin begins a transaction, if bbolt can.
func (h *handle) begin(writable bool) (*bbolt.Tx, error) {
	if err := h.checkSize(); err != nil {
		return nil, err
	}
	least := int(h.committed.Load())
	tx, err := h.db.Begin(writable)
	if err != nil {
		return nil, fmt.Errorf("beginning a transaction: %w", err)
	}
	// If the newer meta page is corrupt, bbolt uses the older one, and then reuses
	// pages that are in use.
	if tx.ID() < least || writable && tx.ID() != least+1 {
		return nil, errors.Join(damagef("the newest meta page is missing"), tx.Rollback())
	}
	return tx, nil
}

// view runs do on the committed state of the file.
func (h *handle) view(do func(*tree) error) error {
	return guarded(func() error {
		tx, err := h.begin(false)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // of a read transaction
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
		defer tx.Rollback() //nolint:errcheck // a no-op after Commit
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

// closeTimeout bounds the time to close a damaged file. After a panic bbolt may still
// hold its locks.
const closeTimeout = time.Second

// close closes the file. A damaged file is released in any case, so that another file
// can be opened in its place.
func (h *handle) close(isDamaged bool) error {
	if !isDamaged {
		return h.db.Close()
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = guarded(h.db.Close) // the damage has been reported
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
	h.file.Close() // this also releases the lock; the file may be closed already
	return nil
}

// A damage is the first damage that was found. All later writes return it.
type damage struct{ err error }

// reportDamage records that the file is damaged, and calls Options.Damaged, once.
func (s *Store) reportDamage(err error) {
	found := &damage{fmt.Errorf("%s: %w; until a restart nothing is written to it, and a missing value cannot be told from a lost one; %s", s.path, err, remedy)}
	if s.damage.CompareAndSwap(nil, found) {
		s.damaged(found.err)
	}
}

// failed returns the error for the caller: ErrClosed if the store was closed meanwhile,
// else ErrUnavailable. It also records damage.
func (s *Store) failed(doing string, err error) error {
	if errors.Is(err, storage.ErrClosed) || errors.Is(err, bolterrors.ErrDatabaseNotOpen) || errors.Is(err, os.ErrClosed) {
		return storage.ErrClosed
	}
	if errors.Is(err, errDamaged) {
		s.reportDamage(err)
	}
	return fmt.Errorf("%s: %w: %w", doing, storage.ErrUnavailable, err)
}
