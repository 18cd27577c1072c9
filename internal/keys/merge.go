package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

// maxRoots bounds how many sealing keys open values. There can be more only if the
// vault lost its keys more often than that, each time while a node started.
const maxRoots = 16

// A step returns the new content of a blob in the vault, or nil if nothing has to
// change. known is the content that this process knows, or nil: keys in it that the
// vault has lost are added again, unless they were withdrawn.
type step func(old, known []byte, do task) (next []byte, err error)

// A task is additional work for a step.
type task struct {
	withdraw string // the ID of a key to withdraw, or ""

	// forget drops keys that no longer verify. Nodes whose clocks differ do not agree
	// on which keys these are, and one would write back what another has dropped. So a
	// node does not forget keys in answer to another node's write.
	forget bool
}

// stepSchedule is the step of the keys of one algorithm. It leaves a malformed blob
// as it is, so that an operator can look at it.
func (r *Ring) stepSchedule(alg Algorithm) step {
	return func(old, known []byte, do task) ([]byte, error) {
		stored, err := parseSchedule(old)
		if err != nil {
			return nil, err
		}
		if _, err := stored.schedule(alg, r.options.Retain); err != nil {
			return nil, err
		}
		ours, err := parseSchedule(known)
		if err != nil {
			return nil, err
		}
		now := r.options.Now()
		next := stored.merge(ours)
		signing := next.active(now)
		if do.withdraw != "" {
			next.Withdrawn = union(next.Withdrawn, []string{do.withdraw})
		}
		if next.Keys, err = next.valid(alg); err != nil {
			return nil, err
		}
		if do.withdraw != "" && !slices.ContainsFunc(next.Keys, signing.same) {
			// Otherwise a retired key would sign again in its place.
			if err := r.addKey(alg, &next, now); err != nil {
				return nil, err
			}
		}
		spared := stored.Keys
		if do.forget {
			spared = nil
		}
		next.Keys = next.verifying(now, r.options.Retain, spared)
		if signsFrom, due := r.nextKey(next.Keys, now); due {
			if err := r.addKey(alg, &next, signsFrom); err != nil {
				return nil, err
			}
		}
		return changed(stored, next, base(old, known))
	}
}

func (r *Ring) addKey(alg Algorithm, b *scheduleBlob, signsFrom time.Time) error {
	pkcs8, err := r.generate(alg)
	if err != nil {
		return fmt.Errorf("making key: %w", err)
	}
	b.Keys = append(b.Keys, scheduleBlobKey{SignsFrom: signsFrom.UTC(), PKCS8: pkcs8})
	b.sort()
	r.options.Logger.Info("made signing key", zap.String("algorithm", string(alg)), zap.Time("signs_from", signsFrom))
	return nil
}

// merge returns the keys and the withdrawals of both blobs.
func (b scheduleBlob) merge(other scheduleBlob) scheduleBlob {
	merged := scheduleBlob{
		Version: max(b.Version, other.Version), Keys: slices.Clone(b.Keys), Withdrawn: union(b.Withdrawn, other.Withdrawn),
	}
	for _, key := range other.Keys {
		if !slices.ContainsFunc(merged.Keys, key.same) {
			merged.Keys = append(merged.Keys, key)
		}
	}
	merged.sort()
	return merged
}

func (k scheduleBlobKey) same(other scheduleBlobKey) bool { return bytes.Equal(k.PKCS8, other.PKCS8) }

// sort sorts the keys by the time from which they sign.
func (b *scheduleBlob) sort() {
	slices.SortStableFunc(b.Keys, func(x, y scheduleBlobKey) int { return x.SignsFrom.Compare(y.SignsFrom) })
}

// active returns the key that signs at a time, or the zero key if there is none.
func (b scheduleBlob) active(now time.Time) scheduleBlobKey {
	for _, key := range slices.Backward(b.Keys) {
		if !now.Before(key.SignsFrom) {
			return key
		}
	}
	if len(b.Keys) == 0 {
		return scheduleBlobKey{}
	}
	return b.Keys[0]
}

// valid returns the keys that are not withdrawn.
func (b scheduleBlob) valid(alg Algorithm) ([]scheduleBlobKey, error) {
	if len(b.Withdrawn) == 0 {
		return b.Keys, nil
	}
	var kept []scheduleBlobKey
	for _, stored := range b.Keys {
		key, err := decodeKey(alg, stored.PKCS8)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(b.Withdrawn, key.id) {
			kept = append(kept, stored)
		}
	}
	return kept, nil
}

// verifying returns the keys that still verify, and those that are spared.
func (b scheduleBlob) verifying(now time.Time, retain time.Duration, spared []scheduleBlobKey) (kept []scheduleBlobKey) {
	for i, key := range b.Keys {
		if until := b.verifiesUntil(i, retain); until.IsZero() || now.Before(until) || slices.ContainsFunc(spared, key.same) {
			kept = append(kept, key)
		}
	}
	return kept
}

// stepSealing is the step of the sealing keys. All nodes seal with the first key in the
// vault. The other keys open values that other nodes sealed.
func (r *Ring) stepSealing(old, known []byte, do task) ([]byte, error) {
	stored, err := parseSealing(old)
	if err != nil {
		return nil, err
	}
	ours, err := parseSealing(known)
	if err != nil {
		return nil, err
	}
	next := sealingBlob{Version: max(stored.Version, ours.Version), Withdrawn: union(stored.Withdrawn, ours.Withdrawn)}
	if do.withdraw != "" {
		next.Withdrawn = union(next.Withdrawn, []string{do.withdraw})
	}
	withdrawn := func(root []byte) bool { return slices.Contains(next.Withdrawn, sealingID(root)) }
	var roots [][]byte
	for _, root := range append(stored.roots(), ours.roots()...) {
		if !slices.ContainsFunc(roots, func(known []byte) bool { return bytes.Equal(known, root) }) {
			roots = append(roots, root)
		}
	}
	if len(roots) == 0 || withdrawn(roots[0]) { // otherwise an older key would seal again in its place
		root := make([]byte, chacha20poly1305.KeySize)
		if _, err := io.ReadFull(r.options.Rand, root); err != nil {
			return nil, fmt.Errorf("reading random bytes: %w", err)
		}
		roots = slices.Insert(roots, 0, root)
	}
	roots = slices.DeleteFunc(roots, withdrawn)
	roots = roots[:min(len(roots), maxRoots)]
	next.Root, next.Older = roots[0], roots[1:]
	return changed(stored, next, base(old, known))
}

// roots returns the key that seals, followed by those that only open. An empty blob has
// none.
func (b sealingBlob) roots() [][]byte {
	if b.Root == nil {
		return nil
	}
	return append([][]byte{b.Root}, b.Older...)
}

// sealingID returns the ID of a sealing key. The ID reveals nothing about the key.
func sealingID(root []byte) string {
	sum := sha256.Sum256(append([]byte("ID of a sealing key\x00"), root...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// base returns the blob that a step starts from: the stored one, or the known one if
// the vault has lost it.
func base(old, known []byte) []byte {
	if old == nil {
		return known
	}
	return old
}

// changed encodes next, together with the fields that a newer release added to old. It
// returns nil if next is what is stored.
func changed[B scheduleBlob | sealingBlob](stored, next B, old []byte) ([]byte, error) {
	before, err := json.Marshal(stored)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(next)
	if err != nil || bytes.Equal(before, after) {
		return nil, err
	}
	return records.Encode(records.JSON, next, old)
}

// union returns the elements of both lists, sorted and without duplicates.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
