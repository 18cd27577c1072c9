package keys

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// lookInterval is the minimum time between two vault reads for unknown keys, and
	// lookAgain that between two reads for the same key.
	lookInterval = time.Second
	lookAgain    = time.Minute

	// rememberedUnknown bounds how many unknown keys are remembered.
	rememberedUnknown = 1024
)

// unknownKeys remembers the vault reads for tokens and sealed values with unknown keys,
// so that invented key IDs cost next to nothing.
type unknownKeys struct {
	seen *lru.Cache[[sha256.Size]byte, time.Time] // the time of the vault read

	// Result of the last read. Guarded by the ring's begin and end.
	looked time.Time
	failed error
}

func newUnknownKeys() unknownKeys {
	seen, err := lru.New[[sha256.Size]byte, time.Time](rememberedUnknown)
	if err != nil {
		panic(err) // the capacity is positive
	}
	return unknownKeys{seen: seen}
}

// look reads the vault again for a token or a sealed value whose key is not loaded. id
// identifies the key. Of concurrent calls one reads, and the others wait for it. The
// error of a failed read is returned to all callers for lookInterval.
func (r *Ring) look(ctx context.Context, id string) (*keyring, error) {
	sum := sha256.Sum256([]byte(id))
	if at, seen := r.unknown.seen.Get(sum); seen && within(r.o.Now(), at, lookAgain) {
		return r.loaded.Load(), nil
	}
	if err := r.begin(ctx); err != nil {
		return nil, fmt.Errorf("looking for a key: %w", err)
	}
	defer r.end()
	if within(r.o.Now(), r.unknown.looked, lookInterval) {
		return r.loaded.Load(), r.unknown.failed
	}
	k, err := r.refresh(ctx)
	if err != nil {
		err = fmt.Errorf("looking for a key: %w", err)
	} else {
		r.unknown.seen.Add(sum, r.o.Now())
	}
	if ctx.Err() == nil { // otherwise it failed for this caller only
		r.unknown.looked, r.unknown.failed = r.o.Now(), err
	}
	return k, err
}

// within reports whether at is less than d away from now, in either direction, since a
// clock may be set back.
func within(now, at time.Time, d time.Duration) bool { return now.Sub(at).Abs() < d }
