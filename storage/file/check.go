package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// A Progress is called often during a long task, with the number of things that are
// done and the total number. A total of 0 means unknown. It may be nil.
type Progress func(things string, done, total int64)

func (p Progress) report(things string, done, total int64) {
	if p != nil {
		p(things, done, total)
	}
}

// errIndex is no damage that anything else goes by: values are found, and expire.
var errIndex = errors.New("values and the index of their expiries differ; \"caddy sso storage compact\" builds the index again")

// A Checked is the result of a check.
type Checked struct {
	Values  int64 `json:"values"`
	Expired int64 `json:"expired"`        // number of values that have expired and are not yet removed
	Bytes   int64 `json:"bytes"`          // size of the file
	Used    int64 `json:"used,omitempty"` // bytes of the file that are in use; 0: not counted
}

// verify reads the whole file before bbolt does, since bbolt panics or crashes on a
// damaged file. A file that is missing or empty is not checked: bbolt will create it.
func verify(path string, wait time.Duration) error {
	_, err := inspect(path, wait, func(t *tree, _ int64) error {
		_, err := t.check(nil)
		return err
	})
	return err
}

// inspect runs do on a file that no server has open. If there is no file, or it is
// empty, there is false.
func inspect(path string, wait time.Duration, do func(t *tree, size int64) error) (there bool, err error) {
	info, err := os.Stat(path) //nolint:gosec // the operator chose the path
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h, err := openHandle(path, bbolt.Options{Timeout: wait, ReadOnly: true})
	if err != nil {
		return true, err
	}
	err = h.view(func(t *tree) error {
		meta, err := h.meta()
		if err != nil {
			return err
		}
		t.freelist = meta.freelist
		return do(t, info.Size())
	})
	return true, errors.Join(err, h.close(errors.Is(err, errDamaged)))
}

// check reads every page in use, and returns their number. Each page must be used only
// once, and must not be in the list of unused pages.
func (t *tree) check(progress Progress) (used uint64, err error) {
	seen := make([]uint64, t.pages/64+1)
	t.visit = func(id, pages uint64) error {
		for n := id; n < id+pages; n++ {
			if seen[n/64]&(1<<(n%64)) != 0 {
				return damagef("page %d is used twice", n)
			}
			seen[n/64] |= 1 << (n % 64)
		}
		used += pages
		progress.report("pages", int64(used), int64(t.pages)) //nolint:gosec // a number of pages
		return nil
	}
	defer func() { t.visit = nil }()
	if err := t.checkBuckets(t.root, 0, bounds{}); err != nil {
		return 0, err
	}
	if t.freelist == 0 {
		return used, nil
	}
	data, err := t.raw(t.freelist, new([]byte))
	if err != nil {
		return 0, err
	}
	unused, err := freelist(t.freelist, data)
	if err != nil {
		return 0, err
	}
	for i := 0; i < len(unused); i += 8 {
		id := order.Uint64(unused[i:])
		if id < 2 || id >= t.pages || seen[id/64]&(1<<(id%64)) != 0 {
			return 0, damagef("page %d is in use and also in the list of unused pages", id)
		}
		seen[id/64] |= 1 << (id % 64)
	}
	return used, nil
}

// freelist returns the IDs in a page with the list of unused pages. Earlier releases
// wrote such pages.
func freelist(id uint64, data []byte) ([]byte, error) {
	n, from := uint64(order.Uint16(data[10:])), uint64(pageHeader)
	if n == 0xFFFF { // then the first ID is the number of IDs
		n, from = order.Uint64(data[pageHeader:]), pageHeader+8
	}
	if order.Uint16(data[8:]) != freelistFlag || n > (uint64(len(data))-from)/8 {
		return nil, damagef("page %d does not list unused pages", id)
	}
	return data[from : from+8*n], nil
}

// checkBuckets reads the names of the buckets and their content.
func (t *tree) checkBuckets(id uint64, depth int, b bounds) error {
	if depth == maxDepth {
		return damagef("its pages refer to each other in a circle")
	}
	p, err := t.read(id, new([]byte), b)
	if err != nil {
		return err
	}
	for i := range p.len {
		if p.leaf {
			err = t.eachIn(p, i, nil, func([]byte, []byte) error { return nil })
		} else {
			err = t.checkBuckets(p.child(i), depth+1, b.of(p, i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Check checks a file that no server has open.
func Check(path string, progress Progress) (Checked, error) {
	var found Checked
	there, err := inspect(path, time.Second, func(t *tree, size int64) error {
		used, err := t.check(progress)
		if err != nil {
			return err
		}
		found.Bytes, found.Used = size, int64(used)*int64(t.pageSize) //nolint:gosec // sizes within a file
		return found.records(func(do func(*tree) error) error { return do(t) }, time.Now, progress)
	})
	switch {
	case errors.Is(err, errDamaged):
		return found, fmt.Errorf("%s: %w; %s", path, err, remedy)
	case err != nil:
		return found, explainLock(path, err)
	case !there:
		return found, fmt.Errorf("%s: the file does not exist, or is empty", path)
	}
	return found, nil
}

// Check checks an open store: every page must be readable, and values must match the
// index of expiries.
func (s *Store) Check(ctx context.Context, progress Progress) (Checked, error) {
	var found Checked
	info, err := os.Stat(s.path)
	if err != nil {
		return found, fmt.Errorf("checking the file store: %w", err)
	}
	found.Bytes = info.Size()
	err = found.records(func(do func(*tree) error) error {
		if err := s.ready(ctx); err != nil {
			return err
		}
		return s.view(do)
	}, s.now, progress)
	if err != nil {
		return found, s.failed("checking the file store", err)
	}
	return found, nil
}

// records reads all values and expiries in batches, since a long read transaction keeps
// bbolt from reusing pages.
func (c *Checked) records(view func(func(*tree) error) error, now func() time.Time, progress Progress) error {
	err := inSteps(view, valuesBucket, func(t *tree, key, record []byte) error {
		if len(record) < expirySize {
			return damagef("the value of a key has no expiry")
		}
		index, err := t.get(expiryBucket, append(clone(record[:expirySize]), key...))
		if err != nil {
			return err
		}
		if index == nil {
			return errIndex
		}
		c.Values++
		if expired(record, now()) {
			c.Expired++
		}
		progress.report("values", c.Values, 0)
		return nil
	})
	if err != nil {
		return err
	}
	return inSteps(view, expiryBucket, func(t *tree, index, _ []byte) error {
		if len(index) <= expirySize {
			return damagef("the index of expiries has a key that is too short")
		}
		record, err := t.get(valuesBucket, index[expirySize:])
		if err == nil && !bytes.HasPrefix(record, index[:expirySize]) {
			err = errIndex
		}
		return err
	})
}

// inSteps calls fn for all keys in a bucket, with a new read transaction for each
// batch.
func inSteps(view func(func(*tree) error) error, bucket []byte, fn func(t *tree, key, value []byte) error) error {
	var from []byte
	for more := true; more; {
		more = false
		err := view(func(t *tree) error {
			n := 0
			return t.each(bucket, from, func(k, v []byte) error {
				if n++; n > scanBatch {
					from, more = clone(k), true
					return errEnough
				}
				return fn(t, k, v)
			})
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}

// explainLock adds a remedy to the error of a file that another process has open.
func explainLock(path string, err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("%s: another process has the file open; stop it, or ask the server that has it: leave out --file", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}
