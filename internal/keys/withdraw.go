package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// ErrNoKey is returned, wrapped, where no key has the ID that was given.
var ErrNoKey = errors.New("keys: no key has this ID")

// Sealing is the use of keys that seal values.
const Sealing = "sealing"

// A Description says of a key what may be known of it.
type Description struct {
	ID    string `json:"id"`  // of a signing key, the `kid` of its tokens
	Use   string `json:"use"` // an [Algorithm], or [Sealing]
	State string `json:"state"`

	// Of signing keys. UsedUntil is when their last token has expired; nil: that
	// is open.
	UsedFrom  *time.Time `json:"used_from,omitempty"`
	UsedUntil *time.Time `json:"used_until,omitempty"`
}

// The states of a key.
const (
	StateNext    = "next"    // published, and not yet in use
	StateActive  = "active"  // signs, or seals
	StateRetired = "retired" // verifies, or opens, what it signed or sealed
)

// List describes all keys, those of one use together in the order of their use.
func (r *Ring) List(ctx context.Context) ([]Description, error) {
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	k := r.loaded.Load()
	var all []Description
	for _, alg := range r.o.Algorithms {
		now := r.o.Now()
		active := k.schedules[alg].active(now)
		for i, key := range k.schedules[alg] {
			d := Description{ID: key.id, Use: string(alg), State: StateActive, UsedFrom: &key.signsFrom}
			switch {
			case i > active:
				d.State = StateNext
			case i < active:
				d.State = StateRetired
			}
			if !key.verifiesUntil.IsZero() {
				d.UsedUntil = &key.verifiesUntil
			}
			if key.verifiesAt(now) {
				all = append(all, d)
			}
		}
	}
	for i, id := range k.sealer.ids {
		d := Description{ID: id, Use: Sealing, State: StateRetired}
		if i == 0 {
			d.State = StateActive
		}
		all = append(all, d)
	}
	return all, nil
}

// Withdraw ends a key for good: what it signed or sealed is not ours from now on,
// at this node at once and at others when they next look into the vault. If it was
// in use, a new key takes its place. To withdraw a key again is no error.
func (r *Ring) Withdraw(ctx context.Context, id string) error {
	if err := r.withdraw(ctx, id); err != nil {
		return fmt.Errorf("withdrawing key: %w", err)
	}
	return nil
}

func (r *Ring) withdraw(ctx context.Context, id string) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	defer r.end()
	k, err := r.refresh(ctx)
	if err != nil {
		return err
	}
	name, found := k.holder(id)
	if !found {
		return ErrNoKey
	}
	_, err = r.read(r.o.Algorithms, func(blob string, step step) ([]byte, error) {
		if blob == name {
			return r.step(ctx, blob, step, task{withdraw: id})
		}
		return k.blobs[blob], nil
	})
	if err == nil {
		r.o.Logger.Warn("a key was withdrawn", zap.String("key", id), zap.String("of", name))
	}
	return err
}

// holder returns the name of the blob that has a key, or the mark that it was
// withdrawn.
func (k *keyring) holder(id string) (name string, ok bool) {
	if key, ok := k.byID[id]; ok {
		return signingName(key.algorithm), true
	}
	if slices.Contains(k.sealer.ids, id) {
		return sealingName, true
	}
	name, ok = k.withdrawn[id]
	return name, ok
}
