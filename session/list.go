package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// changeTries bounds the attempts to change a stored list. One that fails has
// seen another change succeed, so only as many can be needed as come at once.
const changeTries = 1000

// changeList changes a stored list by compare-and-swap: change is given what is
// stored, which is nil where there is no list, and returns what is to be, or
// false to leave it. It is called again where somebody else was faster. A list
// that has become empty goes.
func (c *Cache) changeList(
	ctx context.Context, list string, lifetime time.Duration, change func(stored []byte) (next []byte, changed bool, err error),
) error {
	for range changeTries {
		stored, ok, err := c.store.Get(ctx, list)
		if err != nil {
			return fmt.Errorf("reading a list: %w", err)
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
			keep = time.Millisecond // a list is never taken: somebody may just have added to it
		}
		swapped, err := c.store.CompareAndSwap(ctx, list, stored, next, keep)
		if err != nil {
			return fmt.Errorf("writing a list: %w", err)
		}
		if swapped {
			return nil
		}
	}
	return errors.New("writing a list: too many change it at once")
}

// entries are a stored list's, each of the same size, one after the other. What
// is left over belongs to none.
func entries(stored []byte, size int) [][]byte {
	return slices.Collect(slices.Chunk(stored[:len(stored)-len(stored)%size], size))
}
