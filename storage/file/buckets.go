package file

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// The layout of the file: "values" holds, under each key, 8 bytes of expiry
// (Unix milliseconds, big-endian) and the value. "expiry" holds the same
// expiry and the key as its key, and nothing as its value, so that the sweep
// reads what has expired and no more.
var (
	valuesBucket = []byte("values")
	expiryBucket = []byte("expiry")
)

const expirySize = 8

func createBuckets(tx *bbolt.Tx) error {
	for _, name := range [][]byte{valuesBucket, expiryBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("creating bucket %s: %w", name, err)
		}
	}
	return nil
}

// live returns the value under key, valid until the transaction ends.
func live(tx *bbolt.Tx, key string, now time.Time) ([]byte, bool) {
	record := tx.Bucket(valuesBucket).Get([]byte(key))
	if record == nil || expired(record, now) {
		return nil, false
	}
	return record[expirySize:], true
}

func write(tx *bbolt.Tx, key string, value []byte, expires time.Time) error {
	if err := remove(tx, key); err != nil {
		return err
	}
	record := binary.BigEndian.AppendUint64(make([]byte, 0, expirySize+len(value)), uint64(expires.UnixMilli()))
	if err := tx.Bucket(expiryBucket).Put(append(record[:expirySize:expirySize], key...), []byte{}); err != nil {
		return fmt.Errorf("indexing expiry: %w", err)
	}
	if err := tx.Bucket(valuesBucket).Put([]byte(key), append(record, value...)); err != nil {
		return fmt.Errorf("writing value: %w", err)
	}
	return nil
}

func remove(tx *bbolt.Tx, key string) error {
	record := tx.Bucket(valuesBucket).Get([]byte(key))
	if record == nil {
		return nil
	}
	if err := tx.Bucket(expiryBucket).Delete(append(record[:expirySize:expirySize], key...)); err != nil {
		return fmt.Errorf("removing expiry: %w", err)
	}
	if err := tx.Bucket(valuesBucket).Delete([]byte(key)); err != nil {
		return fmt.Errorf("removing value: %w", err)
	}
	return nil
}

// expired reads the expiry at the front of a record or of an index key.
func expired(record []byte, now time.Time) bool {
	return now.UnixMilli() >= int64(binary.BigEndian.Uint64(record))
}

// clone never returns nil: an empty value is a value.
func clone(value []byte) []byte { return append([]byte{}, value...) }
