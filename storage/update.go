package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// updateTries bounds the attempts of [Update]. An attempt fails only if another
// change succeeded, so the number of attempts needed is the number of concurrent
// changes.
const updateTries = 1000

// Update changes a value by compare-and-swap. change gets the stored value, nil if
// there is none, and returns the new value, or false to change nothing. If another
// change was faster, change is called again. An empty new value removes the key.
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
			keep = time.Millisecond // not removed by Take: another change may just have added to it
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
