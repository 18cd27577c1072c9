package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// ErrNoKey is returned, wrapped, if no key has the given ID.
var ErrNoKey = errors.New("keys: no key has this ID")

// Sealing is the use of sealing keys.
const Sealing = "sealing"

// A Description is the public information on a key.
type Description struct {
	ID    string `json:"id"`  // of a signing key: the `kid` of its tokens
	Use   string `json:"use"` // an [Algorithm], or [Sealing]
	State string `json:"state"`

	// For signing keys only. UsedUntil is the time when the key's last token expires.
	// It is nil while the key has no successor.
	UsedFrom  *time.Time `json:"used_from,omitempty"`
	UsedUntil *time.Time `json:"used_until,omitempty"`
}

// The states of a key.
const (
	StateNext    = "next"    // published, not yet in use
	StateActive  = "active"  // signs or seals
	StateRetired = "retired" // verifies what it signed, or opens what it sealed
)

// List describes all keys. Keys of one use are together, in the order in which they are
// used.
func (r *Ring) List(ctx context.Context) ([]Description, error) {
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	k := r.loaded.Load()
	var all []Description
	for _, alg := range r.options.Algorithms {
		now := r.options.Now()
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

// Withdraw withdraws a key for good: tokens and values that it signed or sealed are
// invalid from now on. This node obeys at once, other nodes when they next read the
// vault. If the key was in use, a new one replaces it. Withdrawing a key twice is no
// error.
func (r *Ring) Withdraw(ctx context.Context, id string) error {
	if err := r.withdraw(ctx, id); err != nil {
		return fmt.Errorf("withdrawing key: %w", err)
	}
	return nil
}

func (r *Ring) withdraw(ctx context.Context, id string) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	k, err := r.refresh(ctx)
	if err != nil {
		return err
	}
	name, found := k.holder(id)
	if !found {
		return ErrNoKey
	}
	_, err = r.read(r.options.Algorithms, func(blob string, step step) ([]byte, error) {
		if blob == name {
			return r.step(ctx, blob, step, task{withdraw: id})
		}
		return k.blobs[blob], nil
	})
	if err == nil {
		r.options.Logger.Warn("a key was withdrawn", zap.String("key", id), zap.String("of", name))
	}
	return err
}

// holder returns the name of the blob that has a key, or that records its withdrawal.
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
