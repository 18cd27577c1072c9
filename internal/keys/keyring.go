package keys

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
)

// keyring is the content of the vault that a Ring has read. It is immutable.
type keyring struct {
	schedules map[Algorithm]schedule
	byID      map[string]*signingKey
	sealer    *sealer
	withdrawn map[string]string // by the ID of the withdrawn key, the name of the blob that records it
	blobs     map[string][]byte // all blobs that were read, by name
	digest    [sha256.Size]byte // of the blobs
}

// update runs the step of every blob in the vault, and loads the result.
func (r *Ring) update(ctx context.Context) (*keyring, error) {
	return r.read(r.options.Algorithms, func(name string, step step) ([]byte, error) {
		return r.step(ctx, name, step, task{forget: true})
	})
}

// step runs the step of one blob in the vault.
func (r *Ring) step(ctx context.Context, name string, step step, do task) ([]byte, error) {
	known := r.known(name)
	return r.vault.Update(ctx, name, func(old []byte) ([]byte, error) { return step(old, known, do) })
}

// refresh is Refresh for a caller that holds the lock.
func (r *Ring) refresh(ctx context.Context) (*keyring, error) {
	return r.read(r.options.Algorithms, func(name string, step step) ([]byte, error) {
		known := r.known(name)
		blob, ok, err := r.vault.Load(ctx, name)
		if err != nil || ok && bytes.Equal(blob, known) {
			return blob, err
		}
		if !ok {
			blob = nil
		}
		next, err := step(blob, known, task{})
		if err != nil || next == nil {
			return blob, err
		}
		return r.vault.Update(ctx, name, func(old []byte) ([]byte, error) { return step(old, known, task{}) })
	})
}

// known returns this process's knowledge of a blob: the one that is loaded now, or that
// an earlier ring loaded. It is nil if the blob is unknown.
func (r *Ring) known(name string) []byte {
	if k := r.loaded.Load(); k != nil && k.blobs[name] != nil {
		return k.blobs[name]
	}
	if vault, ok := r.vault.(Recaller); ok {
		if blob, ok := vault.Recall(name); ok {
			return blob
		}
	}
	return nil
}

var errForgotten = errors.New("no keys are remembered")

// recall loads the blobs that the vault remembers. It needs the sealing keys, and takes
// the keys of those algorithms that were in use before.
func (r *Ring) recall() (*keyring, bool) {
	vault, ok := r.vault.(Recaller)
	if !ok {
		return nil, false
	}
	var algs []Algorithm
	for _, alg := range r.options.Algorithms {
		if _, ok := vault.Recall(signingName(alg)); ok {
			algs = append(algs, alg)
		}
	}
	k, err := r.read(algs, func(name string, _ step) ([]byte, error) {
		blob, ok := vault.Recall(name)
		if !ok {
			return nil, errForgotten
		}
		return blob, nil
	})
	return k, err == nil
}

func signingName(alg Algorithm) string { return "signing-" + string(alg) }

// sealingName is the name of the sealing keys' blob in the vault.
const sealingName = "sealing"

// read builds a keyring from the sealing keys and those of algs, which get returns, and
// puts it into use. The caller holds the lock.
func (r *Ring) read(algs []Algorithm, get func(name string, step step) ([]byte, error)) (*keyring, error) {
	blobs := make(map[string][]byte) // JSON sorts their names
	for _, alg := range algs {
		blob, err := get(signingName(alg), r.stepSchedule(alg))
		if err != nil {
			return nil, fmt.Errorf("%s keys: %w", alg, err)
		}
		blobs[signingName(alg)] = blob
	}
	blob, err := get(sealingName, r.stepSealing)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	blobs[sealingName] = blob
	all, err := json.Marshal(blobs)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(all)
	if k := r.loaded.Load(); k != nil && k.digest == digest {
		return k, nil
	}
	k, err := r.decode(algs, blobs)
	if err != nil {
		return nil, err
	}
	k.digest = digest
	before := r.loaded.Swap(k)
	r.version.Add(1)
	if before != nil && len(k.withdrawn) > len(before.withdrawn) {
		r.options.Withdrawn()
	}
	return k, nil
}

// decode makes a keyring of the blobs.
func (r *Ring) decode(algs []Algorithm, blobs map[string][]byte) (*keyring, error) {
	k := &keyring{schedules: make(map[Algorithm]schedule), byID: make(map[string]*signingKey), withdrawn: make(map[string]string), blobs: blobs}
	for _, alg := range algs {
		name := signingName(alg)
		b, err := parseSchedule(blobs[name])
		if err == nil && len(b.Keys) == 0 {
			err = errMalformed
		}
		if err != nil {
			return nil, fmt.Errorf("%s keys: %w", alg, err)
		}
		if k.schedules[alg], err = b.schedule(alg, r.options.Retain); err != nil {
			return nil, fmt.Errorf("%s keys: %w", alg, err)
		}
		for _, key := range k.schedules[alg] {
			k.byID[key.id] = key
		}
		k.mark(name, b.Withdrawn)
	}
	b, err := parseSealing(blobs[sealingName])
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	if k.sealer, err = b.sealer(); err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	k.mark(sealingName, b.Withdrawn)
	return k, nil
}

func (k *keyring) mark(name string, withdrawn []string) {
	for _, id := range withdrawn {
		k.withdrawn[id] = name
	}
}
