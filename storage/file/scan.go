package file

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	scanBatch = 256

	sweepInterval = time.Minute

	// sweepBatch bounds how long a sign-in may wait behind the sweep.
	sweepBatch = 1000
)

// Scan implements [storage.Store]. It reads some hundred values at a time and
// calls fn outside the transaction: a write from inside one could wait for
// itself, and an old read keeps the file from being reused.
func (s *Store) Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	type pair struct {
		key   string
		value []byte
	}
	from := []byte(prefix)
	for {
		if err := s.ready(ctx); err != nil {
			return err
		}
		var found []pair
		more := false
		err := s.db.View(func(tx *bbolt.Tx) error {
			now := s.now()
			c := tx.Bucket(valuesBucket).Cursor()
			for k, record := c.Seek(from); bytes.HasPrefix(k, []byte(prefix)) && k != nil; k, record = c.Next() {
				if len(found) == scanBatch {
					from, more = clone(k), true
					return nil
				}
				if !expired(record, now) {
					found = append(found, pair{string(k), clone(record[expirySize:])})
				}
			}
			return nil
		})
		if err != nil {
			return s.failed("scanning the file store", err)
		}
		for _, p := range found {
			if err := fn(p.key, p.value); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// Seeks implements [storage.Seeker]: keys are in order.
func (s *Store) Seeks(string) bool { return true }

// sweepUntilClosed keeps the file from growing with what nobody asks for
// again. A sweep that fails is not reported: no method relies on it, the next
// one tries again, and a disk that fails shows in every write.
func (s *Store) sweepUntilClosed() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			_ = s.sweep()
		}
	}
}

// sweep removes what has expired, a batch a transaction.
func (s *Store) sweep() error {
	for {
		select {
		case <-s.stop:
			return nil
		default:
		}
		gone, err := s.sweepSome()
		if err != nil {
			return err
		}
		for _, key := range gone {
			s.feed.Send(storage.Change{Key: key})
		}
		if len(gone) < sweepBatch {
			return nil
		}
	}
}

func (s *Store) sweepSome() (gone []string, err error) {
	var found bool
	err = s.db.View(func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket(expiryBucket).Cursor().First()
		found = k != nil && expired(k, s.now())
		return nil
	})
	if err != nil || !found {
		return nil, err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		now := s.now()
		c := tx.Bucket(expiryBucket).Cursor()
		for k, _ := c.First(); k != nil && expired(k, now) && len(gone) < sweepBatch; k, _ = c.Next() {
			gone = append(gone, string(k[expirySize:]))
		}
		// Deleting under a moving cursor skips keys, so it comes after.
		for _, key := range gone {
			if err := remove(tx, key); err != nil {
				return err
			}
		}
		return nil
	})
	return gone, err
}
