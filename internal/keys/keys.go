// Package keys signs tokens and seals values. It also manages the keys for both: it
// creates them at the first start, publishes them, and rotates them with an overlap.
//
// # Storage of keys
//
// A [Ring] keeps its keys in a [Vault], in one blob per signing algorithm and one for
// sealing. All nodes that share a vault use the same keys. If several nodes rotate at
// the same time, they create one new key together. A ring that starts while its vault
// does not answer uses the keys that this process knew before, if the vault is a
// [Recaller].
//
// # Rotation
//
// Each key has a time from which it signs. Its successor is created and published some
// time before that, so that verifiers of tokens know it in time, and all nodes change
// to it at the same moment without a message. A key that has a successor verifies until
// the last token that it signed has expired.
//
// The sealing key is not rotated, because values that it sealed must stay readable.
//
// # A vault that loses keys
//
// A ring knows the keys that it has read, and writes those that its vault has lost back
// to the vault. So a store that was emptied gets its keys back from any running node.
// If another node created new keys meanwhile, all nodes use the keys of both. If a
// token or a value needs an unknown key, the ring reads the vault again. The ID of a
// withdrawn key stays in the vault, and no ring uses that key or writes it back.
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

// Options are the settings and dependencies of a Ring.
type Options struct {
	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader; must be safe for concurrent use

	Algorithms []Algorithm   // the algorithms to create and load keys for
	Rotate     time.Duration // the time for which a key signs; default 90 days
	Overlap    time.Duration // the time between the publication of a key and its use; default 24 h
	Retain     time.Duration // the time for which a key verifies after its use; must exceed the tokens' lifetime; default 48 h

	Logger *zap.Logger // default none

	// Withdrawn is called after this node or another one withdrew a key. The callee
	// must check running requests with tokens again. It must not block. Default: a
	// no-op.
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
// concurrent use. Its methods load the keys if necessary. After that only Maintain,
// Refresh, List, Withdraw and lookups of unknown keys wait for the vault.
type Ring struct {
	vault Vault
	o     Options

	loaded  atomic.Pointer[keyring] // nil until loaded
	version atomic.Uint64           // counts the changes of the keys
	loading chan struct{}           // holds a token while one goroutine loads
	unknown unknownKeys
}

// NewRing returns a ring over v. It does not read the vault yet.
func NewRing(v Vault, o Options) *Ring {
	return &Ring{vault: v, o: o.withDefaults(), loading: make(chan struct{}, 1), unknown: newUnknownKeys()}
}

// Format hides the keys if the ring is printed.
func (r *Ring) Format(s fmt.State, _ rune) { redact(s) }

func redact(w io.Writer) { _, _ = io.WriteString(w, "[redacted]") }

// Load reads the keys and creates the missing ones. After one success it does nothing.
// After an error the next call tries again. If the vault does not answer, the keys that
// it remembers are enough.
func (r *Ring) Load(ctx context.Context) error {
	_, err := r.keyring(ctx)
	return err
}

// Maintain creates the next key of each algorithm when it is due, drops keys that no
// longer verify, and loads changes by other nodes. Call it every hour. After an error
// the ring continues with its present keys.
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

// keyring returns the loaded keys, and loads them first if necessary.
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
	// If the vault cannot be written, for example because a disk is full, the ring uses
	// the keys that are there.
	if ctx.Err() == nil {
		if k, readErr := r.readOnly(ctx); readErr == nil {
			r.o.Logger.Warn("new keys cannot be written; using the stored keys", zap.Error(err))
			return k, nil
		}
	}
	if errors.Is(err, storage.ErrUnavailable) {
		if k, ok := r.recall(); ok {
			r.o.Logger.Warn("the store does not answer; using the keys that were read before", zap.Error(err))
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

// begin waits until no other goroutine loads. Unlike a mutex it returns when ctx ends.
func (r *Ring) begin(ctx context.Context) error {
	select {
	case r.loading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Ring) end() { <-r.loading }

// Refresh loads changes by other nodes, and writes the known keys that the vault has
// lost back to it. Call it whenever the vault may have changed. It writes only missing
// keys, so that nodes that notify each other of every write do not cause endless
// writes.
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

// readOnly loads the keys in the vault without changing them.
func (r *Ring) readOnly(ctx context.Context) (*keyring, error) {
	return r.read(r.o.Algorithms, func(name string, _ step) ([]byte, error) {
		blob, _, err := r.vault.Load(ctx, name)
		return blob, err
	})
}

// Version changes whenever the keys change. Verify results of an older version again,
// since their key may have been withdrawn.
func (r *Ring) Version() uint64 { return r.version.Load() }
