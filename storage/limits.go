package storage

import (
	"errors"
	"fmt"
	"time"
)

const (
	// MaxKeySize is the length of the longest key, in bytes.
	MaxKeySize = 512

	// MaxValueSize is the length of the longest value, in bytes.
	MaxValueSize = 1 << 20
)

// CheckKey returns an error for a key of a wrong size. Engines call it first in every
// method, so that all engines refuse the same keys.
func CheckKey(key string) error {
	if key == "" {
		return errors.New("storage: empty key")
	}
	if len(key) > MaxKeySize {
		return fmt.Errorf("storage: key of %d bytes is longer than %d", len(key), MaxKeySize)
	}
	return nil
}

// CheckWrite returns an error for a key or value of a wrong size, or a lifetime that
// is not positive.
func CheckWrite(key string, value []byte, lifetime time.Duration) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if len(value) > MaxValueSize {
		return fmt.Errorf("storage: value of %d bytes is larger than %d", len(value), MaxValueSize)
	}
	if lifetime <= 0 {
		return fmt.Errorf("storage: lifetime %s is not positive", lifetime)
	}
	return nil
}
