// Package keys signs tokens and seals values, and manages the keys for both: it creates
// them at the first start, publishes them, and rotates them with an overlap.
//
// # Where keys are
//
// A [Ring] keeps its keys in a [Vault], one blob for each signature algorithm and one
// for sealing. All nodes that share a vault use the same keys; if they rotate at the
// same time, they create one new key. A ring that starts while its vault does not
// answer uses the keys that this process knew before, if the vault is a [Recaller].
//
// # Rotation
//
// A key has the time from which it signs. Its successor is created and published some
// time before it signs, so that verifiers know it by then, and all nodes change over at
// the same moment without communication. A retired key verifies until the last token
// that it signed has expired. The sealing key is not rotated, since old sealed values
// must still open.
//
// # Lost and withdrawn keys
//
// If the vault loses keys, a ring writes back the keys that it knows. So a store that
// comes back empty gets its keys from any running node. If another node has created new
// keys meanwhile, all nodes use both. A token or value with an unknown key makes a ring
// read the vault. A withdrawn key leaves its ID in the vault, and no ring uses it or
// writes it back.
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
	// ErrAlgorithm is returned, wrapped, for an algorithm that the ring has no key for.
	ErrAlgorithm = errors.New("keys: no key for this algorithm")

	// ErrToken is returned, wrapped, for a token that is malformed or that no key of
	// the ring has validly signed.
	ErrToken = errors.New("keys: token is not validly signed")

	// ErrSealed is returned for any input that is not a value sealed by this ring with
	// the given label.
	ErrSealed = errors.New("keys: not a sealed value")
)

// Options are the policy and the dependencies of a Ring.
type Options struct {
	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader; must be safe for concurrent use

	Algorithms []Algorithm   // the algorithms to create and load keys for
	Rotate     time.Duration // the time for which a key signs; default 90 days
	Overlap    time.Duration // the time between the publication of a key and its use; default 24 h
	Retain     time.Duration // the time for which a key verifies after its use; must exceed the tokens' lifetime; default 48 h

	Logger *zap.Logger // default none

	// Withdrawn is called after a key was withdrawn, here or at another node, so that
	// requests with a token of that key can be checked again. It must not block.
	// Default: no call.
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

// A Ring signs, verifies, seals and unseals with the keys of a vault. It is safe for
// concurrent use. Its methods load the keys first, if necessary; after that only
// Maintain waits for anything.
type Ring struct {
	vault   Vault
	options Options

	loaded  atomic.Pointer[keyring] // nil until loaded
	version atomic.Uint64           // counts the changes of the keys
	loading chan struct{}           // holds a token while one goroutine loads
	unknown unknownKeys
}

// NewRing returns a ring over v. It does not read the vault yet.
func NewRing(v Vault, o Options) *Ring {
	return &Ring{vault: v, options: o.withDefaults(), loading: make(chan struct{}, 1), unknown: newUnknownKeys()}
}

// Format prints [redacted].
func (r *Ring) Format(s fmt.State, _ rune) { redact(s) }

func redact(w io.Writer) { _, _ = io.WriteString(w, "[redacted]") }

// Load reads the keys and creates missing ones. After a success it does nothing;
// after an error the next call tries again. While the vault does not answer, it uses
// remembered keys.
func (r *Ring) Load(ctx context.Context) error {
	_, err := r.keyring(ctx)
	return err
}

// Maintain creates the next key of each algorithm when it is due, drops expired keys,
// and reads changes of other nodes. Call it every hour. After an error the ring goes
// on with the keys that it has.
func (r *Ring) Maintain(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return fmt.Errorf("maintaining keys: %w", err)
	}
	defer r.unlock()
	if _, err := r.update(ctx); err != nil {
		return fmt.Errorf("maintaining keys: %w", err)
	}
	return nil
}

// keyring returns the loaded keys, and loads them first if necessary.
func (r *Ring) keyring(ctx context.Context) (*keyring, error) {
	if k := r.loaded.Load(); k != nil {
		return k, nil
	}
	if err := r.lock(ctx); err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	defer r.unlock()
	if k := r.loaded.Load(); k != nil {
		return k, nil
	}
	k, err := r.update(ctx)
	if err == nil {
		return k, nil
	}
	// If the vault cannot be written, for example because a disk is full, the ring uses
	// the keys that are there.
	if ctx.Err() == nil {
		if k, readErr := r.readOnly(ctx); readErr == nil {
			r.options.Logger.Warn("new keys cannot be written; using the stored keys", zap.Error(err))
			return k, nil
		}
	}
	if errors.Is(err, storage.ErrUnavailable) {
		if k, ok := r.recall(); ok {
			r.options.Logger.Warn("the store does not answer; using the keys that were read before", zap.Error(err))
			return k, nil
		}
	}
	return nil, fmt.Errorf("loading keys: %w", err)
}

// complete returns the loaded keys of all algorithms. It loads those that could not be
// recalled.
func (r *Ring) complete(ctx context.Context) (*keyring, error) {
	k, err := r.keyring(ctx)
	if err != nil || r.isComplete(k) {
		return k, err
	}
	if err := r.lock(ctx); err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	defer r.unlock()
	if k := r.loaded.Load(); r.isComplete(k) {
		return k, nil
	}
	if k, err = r.update(ctx); err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	return k, nil
}

func (r *Ring) isComplete(k *keyring) bool {
	for _, alg := range r.options.Algorithms {
		if _, ok := k.schedules[alg]; !ok {
			return false
		}
	}
	return true
}

// lock waits until no other goroutine loads keys. Unlike a mutex it respects ctx.
func (r *Ring) lock(ctx context.Context) error {
	select {
	case r.loading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Ring) unlock() { <-r.loading }

// Refresh reads changes of other nodes, and writes back known keys that the vault has
// lost. Call it whenever the vault may have changed. It writes nothing that is there
// already, so that nodes that notify each other of writes come to rest.
func (r *Ring) Refresh(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return fmt.Errorf("refreshing keys: %w", err)
	}
	defer r.unlock()
	if _, err := r.refresh(ctx); err != nil {
		return fmt.Errorf("refreshing keys: %w", err)
	}
	return nil
}

// readOnly loads the keys in the vault without changing them.
func (r *Ring) readOnly(ctx context.Context) (*keyring, error) {
	return r.read(r.options.Algorithms, func(name string, _ step) ([]byte, error) {
		blob, _, err := r.vault.Load(ctx, name)
		return blob, err
	})
}

// Version changes whenever the keys change. Values that were verified with another
// version must be verified again, since a key may have been withdrawn.
func (r *Ring) Version() uint64 { return r.version.Load() }
