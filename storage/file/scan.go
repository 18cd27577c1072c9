package file

import (
	"bytes"
	"context"
	"errors"
)

const scanBatch = 256

// Scan implements [storage.Store]. It reads some hundred values at a time, and calls fn
// outside the transaction. A write from inside could wait for itself, and a long read
// transaction keeps bbolt from reusing pages.
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
		err := s.view(func(t *tree) error {
			now := s.now()
			return t.each(valuesBucket, from, func(k, record []byte) error {
				switch {
				case !bytes.HasPrefix(k, []byte(prefix)):
					return errEnough
				case len(found) == scanBatch:
					from, more = clone(k), true
					return errEnough
				case len(record) < expirySize:
					return damagef("the value of a key has no expiry")
				case !expired(record, now):
					found = append(found, pair{string(k), clone(record[expirySize:])})
				}
				return nil
			})
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
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

// Seeks implements [storage.Seeker]. The keys are sorted.
func (s *Store) Seeks(string) bool { return true }
