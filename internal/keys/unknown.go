package keys

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// lookInterval is how often unknown keys may make a ring look into its vault,
	// and lookAgain how often one and the same may.
	lookInterval = time.Second
	lookAgain    = time.Minute

	// rememberedUnknown bounds how many of them are remembered.
	rememberedUnknown = 1024
)

// unknownKeys remembers what tokens and sealed values with unknown keys have
// cost, so that made-up ones cost next to nothing.
type unknownKeys struct {
	seen *lru.Cache[[sha256.Size]byte, time.Time] // when they made the ring look

	// Of the last look, guarded by the ring's begin and end.
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

// look returns the keys as the vault has them, for a token or a value whose key
// is not among those that are loaded; which it is, id says. Of what comes at the
// same time one looks, and the others wait for it. After a look that failed
// nothing is known, so its error is that of all for a moment.
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
	if ctx.Err() == nil { // else it failed for one caller alone
		r.unknown.looked, r.unknown.failed = r.o.Now(), err
	}
	return k, err
}

// within says whether a time was less than d ago. A clock may be set back.
func within(now, at time.Time, d time.Duration) bool { return now.Sub(at).Abs() < d }
