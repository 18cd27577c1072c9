package file

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// The layout of the file. The bucket "values" has 8 bytes of expiry (Unix milliseconds,
// big-endian) and the value under each key. The bucket "expiry" has the same expiry
// followed by the key as its key, and an empty value. So the sweep reads only what has
// expired.
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

// indexKey is the key of a value in the index of expiries.
func indexKey(key string, expires time.Time) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, expirySize+len(key)), uint64(expires.UnixMilli())), key...)
}

func write(tx *bbolt.Tx, key string, value []byte, expires time.Time) error {
	if err := remove(tx, key); err != nil {
		return err
	}
	index := indexKey(key, expires)
	if err := tx.Bucket(expiryBucket).Put(index, []byte{}); err != nil {
		return fmt.Errorf("indexing expiry: %w", err)
	}
	record := append(index[:expirySize:expirySize], value...)
	if err := tx.Bucket(valuesBucket).Put([]byte(key), record); err != nil {
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

// expired reads the expiry at the beginning of a record or of an index key.
func expired(record []byte, now time.Time) bool {
	return now.UnixMilli() >= expiryOf(record).UnixMilli()
}

func expiryOf(record []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(record)))
}

// clone never returns nil, since an empty value is a value.
func clone(value []byte) []byte { return append([]byte{}, value...) }
