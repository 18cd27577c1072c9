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
	// batchDelay is how long a write waits for others to share its fsync.
	batchDelay = time.Millisecond

	batchSize = 1000
)

// A task is one that writes. It may run more than once, and counts as done once
// done has nil.
type task struct {
	do   func(*writing) error
	done chan error
	// alone: do gets no transaction, and runs while no other task writes.
	alone func() error
	frees bool // it only removes, and so is done on a full disk, too
}

// writing is a transaction that writes.
type writing struct {
	*bbolt.Tx
	before  *tree               // what it began with
	touched map[string]struct{} // keys that were written; nil: not recorded
	looked  string              // the key that sound looked at last
}

// update has do run in a transaction, with others that come at the same time. It
// returns once it is on the disk.
func (s *Store) update(do func(*writing) error) error {
	return s.submit(task{do: do})
}

// free is update for what only removes.
func (s *Store) free(do func(*writing) error) error {
	return s.submit(task{do: do, frees: true})
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

// writeUntilClosed runs what update is given. It is the only one who writes.
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

// gather returns the tasks that come with the first one.
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

// commit runs tasks in one transaction, or each in one of its own if one fails.
func (s *Store) commit(batch []task) {
	if last := batch[len(batch)-1]; last.alone != nil {
		defer func() { last.done <- last.alone() }()
		batch = batch[:len(batch)-1]
	}
	full := s.room(false)
	if full != nil { // what removes goes on, and makes room
		batch = slices.DeleteFunc(batch, func(t task) bool {
			if !t.frees {
				t.done <- full
			}
			return !t.frees
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
	failed = failed || s.full // of one alone there may be room
	for _, t := range batch {
		if failed && len(batch) > 1 {
			err = s.transact(t.frees, t.do)
		}
		t.done <- err
	}
}

// transact is called by the writer alone.
func (s *Store) transact(frees bool, do func(*writing) error) error {
	if found := s.damage.Load(); found != nil {
		return found.err
	}
	if err := s.room(frees); err != nil {
		return err
	}
	committing := false
	err := s.open.update(func(tx *bbolt.Tx) error {
		before := s.open.tree(tx)
		before.beside = true
		err := do(&writing{Tx: tx, before: before, touched: s.touched})
		committing = err == nil
		return err
	})
	s.full = committing && err != nil
	if s.full {
		s.open.reserved = 0 // which was not there, or was not enough
	}
	if errors.Is(err, errDamaged) {
		s.harmed(err)
	}
	return err
}

const (
	// reserveSize is how many bytes the file has on the disk beyond what it uses:
	// more than most transactions write.
	reserveSize = 512 << 10

	// reserveStep is how much of that others may have used before it is made up for.
	reserveStep = 32 << 10

	// As many unused pages in the file do for any transaction, or for one removal.
	roomyPages   = reserveSize / 4096
	removalPages = 12
)

// room says whether a transaction can be written. bbolt is not let find out: after
// a write that failed it reads the whole file. What only removes has the reserve,
// or what is unused in the file, so that on a full disk sessions can be ended.
func (s *Store) room(frees bool) error {
	err := s.open.reserve()
	if err == nil {
		return nil
	}
	stats := s.open.db.Stats()
	unused := stats.FreePageN + stats.PendingPageN
	if unused >= roomyPages || frees && (!s.full || unused >= removalPages) {
		return nil
	}
	return fmt.Errorf("the disk does not take more: %w", err)
}

// reserve sees that the file has room on the disk behind the pages that it uses.
func (h *handle) reserve() error {
	m, err := h.meta()
	if err != nil {
		return err
	}
	used := int64(m.pages) * int64(h.pageSize) //nolint:gosec // sizes of a file
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

// sound looks at all pages that a change of key reads, before bbolt does. What is
// left of a page may go into the one beside it.
func (w *writing) sound(key string) error {
	if key == w.looked {
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
		w.looked = key
	}
	return err
}

// get returns a copy of the value under key.
func (w *writing) get(key string, now time.Time) ([]byte, bool, error) {
	if err := w.sound(key); err != nil {
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
	if err := w.sound(key); err != nil {
		return err
	}
	if _, err := w.before.get(expiryBucket, indexKey(key, expires)); err != nil {
		return err
	}
	w.touch(key)
	return write(w.Tx, key, value, expires)
}

func (w *writing) remove(key string) error {
	if err := w.sound(key); err != nil {
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
