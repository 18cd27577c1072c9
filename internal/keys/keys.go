// Package keys signs tokens and seals values, and looks after the keys that
// this takes: it makes them on first start, publishes them, and rotates them
// with overlap.
//
// # Where keys live
//
// A [Ring] keeps its keys in a [Vault], one blob for each signing algorithm
// and one for sealing. All nodes that share a vault use the same keys, and
// rotating at the same time they make one new key, not several. A ring that
// begins while its vault does not answer goes on with the keys that were known
// in this process before, if the vault is a [Recaller].
//
// # Rotation
//
// A key carries the time from which it signs. Its successor is made and
// published some time before its own time comes, so that whoever verifies
// tokens knows it by then; and every node changes over at the same moment
// without a word. A key that was succeeded goes on to verify until the last
// token that it signed has expired.
//
// The sealing key is not rotated: what was sealed under it must still open.
//
// # A vault that loses keys
//
// A ring writes back what its vault has lost of the keys that it knows: so a
// store that comes back empty gets its keys from any node that lives, and where
// another node has made new ones meanwhile, all nodes come to use both. A key that
// is not known makes a ring look into the vault. A key that was withdrawn leaves
// its ID in the vault, and no ring takes it or writes it back.
package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/storage"
)

// An Algorithm is a JWS signature algorithm (RFC 7518 §3.1, RFC 8037).
type Algorithm string

// The algorithms that a Ring can sign with.
const (
	RS256 Algorithm = "RS256" // RSA, 2048 bits, PKCS #1 v1.5
	ES256 Algorithm = "ES256" // ECDSA over P-256
	EdDSA Algorithm = "EdDSA" // Ed25519
)

var (
	// ErrAlgorithm is returned, wrapped, for an algorithm that the ring has
	// no keys for.
	ErrAlgorithm = errors.New("keys: no key for this algorithm")

	// ErrToken is returned, wrapped, for a token that is malformed or has no
	// valid signature by one of our keys.
	ErrToken = errors.New("keys: token is not validly signed")

	// ErrSealed is returned for anything that is not a sealed value of this
	// ring and purpose.
	ErrSealed = errors.New("keys: not a sealed value")
)

// Options are the policy of a Ring, and what it needs from outside.
type Options struct {
	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader; must be safe for concurrent use

	Algorithms []Algorithm   // that keys are made and loaded for
	Rotate     time.Duration // how long a key signs; default 90 days
	Overlap    time.Duration // how long before its use a key is published; default 24 h
	Retain     time.Duration // how long a key verifies after its use; must exceed the tokens' lifetime; default 48 h

	Logger *zap.Logger // default none

	// Withdrawn is told, after a key was withdrawn, here or at another node, that
	// what is under way because of a token is to be looked at again. It must not
	// block. Default: nobody is.
	Withdrawn func()
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Rotate <= 0 {
		o.Rotate = 90 * 24 * time.Hour
	}
	if o.Overlap <= 0 {
		o.Overlap = 24 * time.Hour
	}
	if o.Retain <= 0 {
		o.Retain = 48 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Withdrawn == nil {
		o.Withdrawn = func() {}
	}
	return o
}

// A Ring signs, verifies, seals and unseals with the keys of a vault. It is
// safe for concurrent use. Its methods load the keys if need be; once they are
// loaded, none but Maintain waits for anything.
type Ring struct {
	vault Vault
	o     Options

	loaded  atomic.Pointer[keyring] // nil until loaded
	version atomic.Uint64           // how often other keys were
	loading chan struct{}           // holds a token while somebody loads
	unknown unknownKeys
}

// NewRing returns a ring over v. It reads nothing yet.
func NewRing(v Vault, o Options) *Ring {
	return &Ring{vault: v, o: o.withDefaults(), loading: make(chan struct{}, 1), unknown: newUnknownKeys()}
}

// Format keeps key material out of whatever prints the ring.
func (r *Ring) Format(s fmt.State, _ rune) { redact(s) }

func redact(w io.Writer) { _, _ = io.WriteString(w, "[redacted]") }

// Load reads the keys and makes those that are missing. Once that has
// succeeded it does nothing; after an error the next call tries again. While
// the vault does not answer, what it remembers will do.
func (r *Ring) Load(ctx context.Context) error {
	_, err := r.keyring(ctx)
	return err
}

// Maintain makes the next key of each algorithm when it is due, drops keys
// that verify no longer, and picks up what other nodes did. It is meant to be
// called hourly. After an error the ring goes on with the keys that it has.
func (r *Ring) Maintain(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return fmt.Errorf("maintaining keys: %w", err)
	}
	defer r.end()
	if _, err := r.update(ctx); err != nil {
		return fmt.Errorf("maintaining keys: %w", err)
	}
	return nil
}

// keyring returns the loaded keys, and loads them first if need be.
func (r *Ring) keyring(ctx context.Context) (*keyring, error) {
	if k := r.loaded.Load(); k != nil {
		return k, nil
	}
	if err := r.begin(ctx); err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	defer r.end()
	if k := r.loaded.Load(); k != nil {
		return k, nil
	}
	k, err := r.update(ctx)
	if err == nil {
		return k, nil
	}
	// What cannot be written, since a disk is full for example, takes no keys away
	// that are there.
	if ctx.Err() == nil {
		if k, readErr := r.readOnly(ctx); readErr == nil {
			r.o.Logger.Warn("going on with the keys that are stored, since new ones cannot be written", zap.Error(err))
			return k, nil
		}
	}
	if errors.Is(err, storage.ErrUnavailable) {
		if k, ok := r.recall(); ok {
			r.o.Logger.Warn("going on with the keys of before", zap.Error(err))
			return k, nil
		}
	}
	return nil, fmt.Errorf("loading keys: %w", err)
}

// complete returns the loaded keys of all algorithms. Those that could not be
// recalled it loads.
func (r *Ring) complete(ctx context.Context) (*keyring, error) {
	k, err := r.keyring(ctx)
	if err != nil || r.isComplete(k) {
		return k, err
	}
	if err := r.begin(ctx); err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	defer r.end()
	if k := r.loaded.Load(); r.isComplete(k) {
		return k, nil
	}
	if k, err = r.update(ctx); err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	return k, nil
}

func (r *Ring) isComplete(k *keyring) bool {
	for _, alg := range r.o.Algorithms {
		if _, ok := k.schedules[alg]; !ok {
			return false
		}
	}
	return true
}

// begin waits until nobody else loads. Unlike a mutex it heeds ctx.
func (r *Ring) begin(ctx context.Context) error {
	select {
	case r.loading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Ring) end() { <-r.loading }

// Refresh picks up what other nodes did, and writes back what the vault has lost
// of the keys that are known here. It is meant to be called whenever the vault
// may have changed. It writes nothing that is there, so that nodes which tell each
// other of every write come to rest.
func (r *Ring) Refresh(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return fmt.Errorf("refreshing keys: %w", err)
	}
	defer r.end()
	if _, err := r.refresh(ctx); err != nil {
		return fmt.Errorf("refreshing keys: %w", err)
	}
	return nil
}

// readOnly loads what is in the vault as it is.
func (r *Ring) readOnly(ctx context.Context) (*keyring, error) {
	return r.read(r.o.Algorithms, func(name string, _ step) ([]byte, error) {
		blob, _, err := r.vault.Load(ctx, name)
		return blob, err
	})
}

// Version moves whenever other keys are read than before: what was verified
// under another one is to be verified again, since a key may be gone.
func (r *Ring) Version() uint64 { return r.version.Load() }
