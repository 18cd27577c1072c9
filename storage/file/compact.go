package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-sso/caddy-sso/internal/fileaccess"
	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	// copySuffix is the suffix of the copy that will replace the file. A copy that is
	// left over was never finished.
	copySuffix = ".compact"

	// copyBatch bounds how long a concurrent write waits.
	copyBatch = 256

	// fillPercent is how full the pages of the copy are. The rest is room for later
	// writes.
	fillPercent = 0.9

	// A file of this size is compacted automatically if three quarters are unused. That
	// happens after many values expired.
	shrinkFrom = 32 << 20
)

var errCompacting = errors.New("the file is being compacted already")

// A Compacted is the size of the file before and after compaction.
type Compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Compact removes the unused space from a file that no server has open.
func Compact(path string, progress Progress) (Compacted, error) {
	if info, err := os.Stat(path); err != nil {
		return Compacted{}, err
	} else if info.Size() == 0 {
		return Compacted{}, fmt.Errorf("%s: the file is empty", path)
	}
	s, err := Open(path, Options{LockTimeout: time.Second})
	if err != nil {
		return Compacted{}, explainLock(path, err)
	}
	done, err := s.Compact(context.Background(), progress)
	return done, errors.Join(err, s.Close())
}

// Compact removes the unused space from the file while the store is in use. It copies
// all values to a new file, copies again those that were written meanwhile, and then
// replaces the file. Until then the file stays unchanged.
func (s *Store) Compact(ctx context.Context, progress Progress) (Compacted, error) {
	if !s.compacting.TryLock() {
		return Compacted{}, errCompacting
	}
	defer s.compacting.Unlock()
	before, err := os.Stat(s.path)
	if err != nil {
		return Compacted{}, fmt.Errorf("compacting: %w", err)
	}
	if err := s.compact(ctx, progress); err != nil {
		return Compacted{}, s.failed("compacting "+s.path, err)
	}
	after, err := os.Stat(s.path)
	if err != nil {
		return Compacted{}, fmt.Errorf("compacting: %w", err)
	}
	return Compacted{before.Size(), after.Size()}, nil
}

func (s *Store) compact(ctx context.Context, progress Progress) (err error) {
	if err := s.view((*tree).onlyKnown); err != nil {
		return err
	}
	next, err := s.newCopy()
	if err != nil {
		return err
	}
	replaced := false
	defer func() {
		if !replaced {
			err = errors.Join(err, next.close(false), os.Remove(next.file.Name()))
		}
	}()
	// From now on the writer records the keys that it writes.
	if _, err := s.touchedSince(); err != nil {
		return err
	}
	defer func() { _ = s.submit(task{alone: func() error { s.touched = nil; return nil }}) }()
	if err := s.copyAll(ctx, next, progress); err != nil {
		return err
	}
	for range 10 {
		touched, err := s.touchedSince()
		if err != nil {
			return err
		}
		if err := s.copyKeys(next, touched); err != nil {
			return err
		}
		if len(touched) < copyBatch {
			break
		}
	}
	return s.submit(task{alone: func() error {
		if err := s.copyKeys(next, keysOf(s.touched)); err != nil {
			return err
		}
		replaced, err = s.replace(next)
		return err
	}})
}

// onlyKnown returns an error if the file has more than Compact would copy.
func (t *tree) onlyKnown() error {
	return t.walk(t.root, 0, bounds{}, nil, new([maxDepth][]byte), func(name, _ []byte) error {
		if !bytes.Equal(name, valuesBucket) && !bytes.Equal(name, expiryBucket) {
			return fmt.Errorf("it has a bucket %q of a later release; compact it with that release", name)
		}
		return nil
	})
}

// newCopy creates an empty file next to the store's file.
func (s *Store) newCopy() (*handle, error) {
	name := s.path + copySuffix
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing an old copy: %w", err)
	}
	// The copy is synced only once, before it replaces the file.
	next, err := openHandle(name, bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, NoSync: true})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("creating %s: %w", name, err), os.RemoveAll(name))
	}
	info, err := s.open.file.Stat()
	if err == nil {
		err = fileaccess.Keep(next.file, info)
	}
	if err == nil {
		err = next.update(createBuckets)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("creating %s: %w", name, err), next.close(false), os.Remove(name))
	}
	return next, nil
}

// touchedSince returns the keys that were written since the last call, and makes the
// writer record the next ones.
func (s *Store) touchedSince() (touched []string, err error) {
	err = s.submit(task{alone: func() error {
		touched = keysOf(s.touched)
		s.touched = make(map[string]struct{})
		return nil
	}})
	return touched, err
}

func keysOf(set map[string]struct{}) []string {
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	return keys
}

// copyAll copies all values. After each batch it rests as long as the batch took, so
// that other users of the disk do not wait.
func (s *Store) copyAll(ctx context.Context, next *handle, progress Progress) error {
	var from []byte
	var copied int64
	for more := true; more; {
		if err := s.ready(ctx); err != nil {
			return err
		}
		begun := time.Now()
		var batch []record
		more = false
		err := s.view(func(t *tree) error {
			return t.each(valuesBucket, from, func(k, v []byte) error {
				if len(batch) == copyBatch {
					from, more = clone(k), true
					return errEnough
				}
				batch = append(batch, record{string(k), clone(v)})
				return nil
			})
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		if err := next.copy(batch); err != nil {
			return err
		}
		copied += int64(len(batch))
		progress.report("values", copied, 0)
		if !s.sleep(time.Since(begun)) {
			return storage.ErrClosed
		}
	}
	return nil
}

// copyKeys copies the values of some keys.
func (s *Store) copyKeys(next *handle, keys []string) error {
	batch := make([]record, 0, len(keys))
	err := s.view(func(t *tree) error {
		for _, key := range keys {
			value, err := t.get(valuesBucket, []byte(key))
			if err != nil {
				return err
			}
			batch = append(batch, record{key, value})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return next.copy(batch)
}

// A record is the stored value of a key. nil: there is none.
type record struct {
	key   string
	value []byte
}

func (h *handle) copy(batch []record) error {
	return h.update(func(tx *bbolt.Tx) error {
		tx.Bucket(valuesBucket).FillPercent = fillPercent
		for _, r := range batch {
			switch {
			case r.value == nil:
				if err := remove(tx, r.key); err != nil {
					return err
				}
			case len(r.value) < expirySize:
				return damagef("the value of a key has no expiry")
			default:
				if err := write(tx, r.key, r.value[expirySize:], expiryOf(r.value)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// replace replaces the file by its copy, and reports whether it did.
func (s *Store) replace(next *handle) (bool, error) {
	if err := next.db.Sync(); err != nil {
		return false, fmt.Errorf("writing the copy: %w", err)
	}
	next.db.NoSync = false
	s.swap.Lock()
	defer s.swap.Unlock()
	if err := os.Rename(next.file.Name(), s.path); err != nil {
		return false, fmt.Errorf("replacing the file: %w", err)
	}
	old := s.open
	s.open = next
	err := syncFolder(filepath.Dir(s.path))
	return true, errors.Join(err, old.close(false))
}

// shrink compacts the file if most of it is unused. If that fails, for example because
// the disk is full, the file stays unchanged.
func (s *Store) shrink() {
	info, err := os.Stat(s.path)
	if err != nil || info.Size() < shrinkFrom || s.unused() < info.Size()/4*3 {
		return
	}
	_, _ = s.Compact(context.Background(), nil)
}
