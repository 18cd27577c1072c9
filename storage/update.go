package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// updateTries bounds the attempts of [Update]. One that fails has seen another
// change succeed, so only as many can be needed as come at once.
const updateTries = 1000

// Update changes a value by compare-and-swap: change is given what is stored,
// which is nil where there is nothing, and returns what is to be, or false to
// leave it. It is called again where somebody else was faster. A value that has
// become empty goes.
func Update(
	ctx context.Context, s Store, key string, lifetime time.Duration, change func(stored []byte) (next []byte, changed bool, err error),
) error {
	for range updateTries {
		stored, ok, err := s.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("reading what is to change: %w", err)
		}
		if !ok {
			stored = nil
		}
		next, changed, err := change(stored)
		if err != nil || !changed {
			return err
		}
		keep := lifetime
		if len(next) == 0 {
			keep = time.Millisecond // it is never taken: somebody may just have added to it
		}
		swapped, err := s.CompareAndSwap(ctx, key, stored, next, keep)
		if err != nil {
			return fmt.Errorf("writing what has changed: %w", err)
		}
		if swapped {
			return nil
		}
	}
	return errors.New("changing a value: too many change it at once")
}
