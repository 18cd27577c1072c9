package keys

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// reloadInterval is the minimum time between two vault reads for unknown keys, and
	// sameKeyInterval that between two reads for the same key.
	reloadInterval  = time.Second
	sameKeyInterval = time.Minute

	// maxUnknownKeys bounds how many unknown keys are remembered.
	maxUnknownKeys = 1024
)

// unknownKeys remembers the vault reads for tokens and sealed values with unknown keys,
// so that invented key IDs cost next to nothing.
type unknownKeys struct {
	seen *lru.Cache[[sha256.Size]byte, time.Time] // the time of the vault read

	// Result of the last read. Guarded by the ring's lock.
	reloaded  time.Time
	reloadErr error
}

func newUnknownKeys() unknownKeys {
	seen, err := lru.New[[sha256.Size]byte, time.Time](maxUnknownKeys)
	if err != nil {
		panic(err) // the capacity is positive
	}
	return unknownKeys{seen: seen}
}

// reloadFor reads the vault again for a token or a sealed value whose key is not
// loaded. id identifies the key. Of concurrent calls one reads, and the others wait for
// it. The error of a failed read is returned to all callers for reloadInterval.
func (r *Ring) reloadFor(ctx context.Context, id string) (*keyring, error) {
	sum := sha256.Sum256([]byte(id))
	if at, seen := r.unknown.seen.Get(sum); seen && isWithin(r.options.Now(), at, sameKeyInterval) {
		return r.loaded.Load(), nil
	}
	if err := r.lock(ctx); err != nil {
		return nil, fmt.Errorf("looking for a key: %w", err)
	}
	defer r.unlock()
	if isWithin(r.options.Now(), r.unknown.reloaded, reloadInterval) {
		return r.loaded.Load(), r.unknown.reloadErr
	}
	k, err := r.refresh(ctx)
	if err != nil {
		err = fmt.Errorf("looking for a key: %w", err)
	} else {
		r.unknown.seen.Add(sum, r.options.Now())
	}
	if ctx.Err() == nil { // otherwise it failed for this caller only
		r.unknown.reloaded, r.unknown.reloadErr = r.options.Now(), err
	}
	return k, err
}

// isWithin reports whether at is less than d away from now, in either direction, since a
// clock may be set back.
func isWithin(now, at time.Time, d time.Duration) bool { return now.Sub(at).Abs() < d }
