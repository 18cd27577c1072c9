package file

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	sweepInterval = time.Minute

	// sweepBatch bounds how long a sign-in waits for the sweep: usually each value is
	// on a page of its own, which is written again.
	sweepBatch = 100
)

// sweepUntilClosed removes expired values, so that the file does not grow. A failed
// sweep is not reported: no method relies on it, the next sweep tries again, and a
// failing disk shows in every write.
func (s *Store) sweepUntilClosed() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			_ = s.sweep()
			s.shrink()
		}
	}
}

// sweep removes expired values, one transaction per batch. After each batch it rests as
// long as the batch took, so that sign-ins get at least half of the disk's time.
func (s *Store) sweep() error {
	for {
		begun := time.Now()
		due, err := s.due()
		if err != nil || len(due) == 0 {
			return err
		}
		gone, err := s.sweepSome(due)
		if err != nil {
			return err
		}
		for _, key := range gone {
			s.feed.Send(storage.Change{Key: key})
		}
		if len(due) < sweepBatch || !s.sleep(time.Since(begun)) {
			return nil
		}
	}
}

// sleep waits, and returns false if the store is closed.
func (s *Store) sleep(d time.Duration) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-s.stop:
		return false
	case <-over.C:
		return true
	}
}

// due returns the first entries of the index that have expired.
func (s *Store) due() (indexed [][]byte, err error) {
	now := s.now()
	err = s.view(func(t *tree) error {
		return t.each(expiryBucket, nil, func(k, _ []byte) error {
			switch {
			case len(k) <= expirySize:
				return damagef("the index of expiries has a key that is too short")
			case !expired(k, now) || len(indexed) == sweepBatch:
				return errEnough
			}
			indexed = append(indexed, clone(k))
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil {
		err = s.failed("sweeping the file store", err)
	}
	return indexed, err
}

// sweepSome removes values whose index entry is right, and index entries that are
// wrong.
func (s *Store) sweepSome(indexed [][]byte) (gone []string, err error) {
	err = s.free(func(w *writing) error {
		gone = nil
		for _, index := range indexed {
			key := string(index[expirySize:])
			if err := w.checkPages(key); err != nil {
				return err
			}
			record := w.Bucket(valuesBucket).Get([]byte(key))
			if !bytes.HasPrefix(record, index[:expirySize]) {
				if err := w.Bucket(expiryBucket).Delete(index); err != nil {
					return fmt.Errorf("removing an expiry: %w", err)
				}
				continue
			}
			if err := w.remove(key); err != nil {
				return err
			}
			gone = append(gone, key)
		}
		return nil
	})
	if err != nil {
		return nil, s.failed("sweeping the file store", err)
	}
	return gone, nil
}
