package file

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	// batchDelay is how long a write waits for other writes, to share one fsync with
	// them.
	batchDelay = time.Millisecond

	batchSize = 1000
)

// A task is a write. It may run more than once. It is done when the channel done has
// nil.
type task struct {
	do   func(*writing) error
	done chan error
	// alone: do gets no transaction, and runs while no other task writes.
	alone       func() error
	removesOnly bool // it only removes values, so it also runs on a full disk
}

// writing is a write transaction.
type writing struct {
	*bbolt.Tx
	before  *tree               // what it began with
	touched map[string]struct{} // keys that were written; nil: not recorded
	checked string              // the last key that checkPages checked
}

// update runs do in a transaction, together with concurrent writes. It returns after
// the transaction is on the disk.
func (s *Store) update(do func(*writing) error) error {
	return s.submit(task{do: do})
}

// free is like update, for functions that only remove values.
func (s *Store) free(do func(*writing) error) error {
	return s.submit(task{do: do, removesOnly: true})
}

func (s *Store) submit(t task) error {
	if found := s.damage.Load(); found != nil {
		return found.err
	}
	t.done = make(chan error, 1)
	select {
	case s.tasks <- t:
		return <-t.done
	case <-s.stop:
		return storage.ErrClosed
	}
}

// writeUntilClosed runs the tasks. It is the only writer.
func (s *Store) writeUntilClosed() {
	for {
		select {
		case t := <-s.tasks:
			s.commit(s.gather(t))
		case <-s.stop:
			return
		}
	}
}

// gather returns the first task and those that follow within batchDelay.
func (s *Store) gather(first task) []task {
	batch := []task{first}
	if first.alone != nil {
		return batch
	}
	over := time.NewTimer(batchDelay)
	defer over.Stop()
	for len(batch) < batchSize {
		select {
		case t := <-s.tasks:
			batch = append(batch, t)
			if t.alone != nil {
				return batch
			}
		case <-over.C:
			return batch
		}
	}
	return batch
}

// commit runs the tasks in one transaction. If one fails, it runs each task in its own
// transaction.
func (s *Store) commit(batch []task) {
	if last := batch[len(batch)-1]; last.alone != nil {
		defer func() { last.done <- last.alone() }()
		batch = batch[:len(batch)-1]
	}
	full := s.checkRoom(false)
	if full != nil { // tasks that only remove values continue, and make room
		batch = slices.DeleteFunc(batch, func(t task) bool {
			if !t.removesOnly {
				t.done <- full
			}
			return !t.removesOnly
		})
	}
	if len(batch) == 0 {
		return
	}
	failed := false
	err := s.transact(full != nil, func(w *writing) error {
		for _, t := range batch {
			if err := t.do(w); err != nil {
				failed = true
				return err
			}
		}
		return nil
	})
	failed = failed || s.full // there may be room for a single task
	for _, t := range batch {
		if failed && len(batch) > 1 {
			err = s.transact(t.removesOnly, t.do)
		}
		t.done <- err
	}
}

// transact must only be called by the writer.
func (s *Store) transact(frees bool, do func(*writing) error) error {
	if found := s.damage.Load(); found != nil {
		return found.err
	}
	if err := s.checkRoom(frees); err != nil {
		return err
	}
	committing := false
	err := s.open.update(func(tx *bbolt.Tx) error {
		before := s.open.tree(tx)
		before.withSiblings = true
		err := do(&writing{Tx: tx, before: before, touched: s.touched})
		committing = err == nil
		return err
	})
	s.full = committing && err != nil
	if s.full {
		s.open.reserved = 0 // the reserved room did not exist, or was too small
	}
	if errors.Is(err, errDamaged) {
		s.reportDamage(err)
	}
	return err
}

const (
	// reserveSize is how many bytes of the file are reserved beyond its used pages.
	// Most transactions write less.
	reserveSize = 512 << 10

	// reserveStep is how much of the reserve may be used before it is filled up again.
	reserveStep = 32 << 10

	// If the file has this many unused pages, any transaction fits (roomyPages), or one
	// removal fits (removalPages).
	roomyPages   = reserveSize / 4096
	removalPages = 12
)

// checkRoom returns an error if there is no room for a transaction. The check is before
// the transaction, since bbolt reads the whole file after a failed write. Removals may
// also use the reserve and the unused pages of the file, so sessions can be ended on a
// full disk.
func (s *Store) checkRoom(frees bool) error {
	err := s.open.reserve()
	if err == nil {
		return nil
	}
	stats := s.open.db.Stats()
	unused := stats.FreePageN + stats.PendingPageN
	if unused >= roomyPages || frees && (!s.full || unused >= removalPages) {
		return nil
	}
	return fmt.Errorf("the disk is full, or cannot be written: %w", err)
}

// reserve makes sure that the disk has room for the file behind its used pages.
func (h *handle) reserve() error {
	m, err := h.meta()
	if err != nil {
		return err
	}
	used := int64(m.pages) * int64(h.pageSize) //nolint:gosec // sizes within a file
	if h.reserved >= used+reserveSize-reserveStep {
		return nil
	}
	from := max(h.reserved, used)
	if _, err := h.file.WriteAt(make([]byte, used+reserveSize-from), from); err != nil {
		return err
	}
	h.reserved = used + reserveSize
	return nil
}

// checkPages checks all pages that a change of key will read, before bbolt reads them.
// They include neighbours of a page, since bbolt may merge pages.
func (w *writing) checkPages(key string) error {
	if key == w.checked {
		return nil
	}
	record, err := w.before.get(valuesBucket, []byte(key))
	if err != nil || record == nil {
		return err
	}
	if len(record) < expirySize {
		return damagef("the value of a key has no expiry")
	}
	if _, err = w.before.get(expiryBucket, append(record[:expirySize:expirySize], key...)); err == nil {
		w.checked = key
	}
	return err
}

// get returns a copy of the value under key.
func (w *writing) get(key string, now time.Time) ([]byte, bool, error) {
	if err := w.checkPages(key); err != nil {
		return nil, false, err
	}
	record := w.Bucket(valuesBucket).Get([]byte(key))
	if record == nil || expired(record, now) {
		return nil, false, nil
	}
	return clone(record[expirySize:]), true, nil
}

// put writes a value.
func (w *writing) put(key string, value []byte, expires time.Time) error {
	if err := w.checkPages(key); err != nil {
		return err
	}
	if _, err := w.before.get(expiryBucket, indexKey(key, expires)); err != nil {
		return err
	}
	w.touch(key)
	return write(w.Tx, key, value, expires)
}

func (w *writing) remove(key string) error {
	if err := w.checkPages(key); err != nil {
		return err
	}
	w.touch(key)
	return remove(w.Tx, key)
}

func (w *writing) touch(key string) {
	if w.touched != nil {
		w.touched[key] = struct{}{}
	}
}
