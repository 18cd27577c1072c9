package keys

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	// minStorageKey is the minimum length of a storage key, in bytes.
	minStorageKey = 32

	// vaultLifetime is how long a blob is kept after its last Update. Every Update
	// renews it, so a site loses its keys only if it was down that long.
	vaultLifetime = 400 * 24 * time.Hour

	// vaultAttempts bounds how often one Update retries after another node was faster.
	vaultAttempts = 100
)

// StoredPrefix begins the storage keys of the blobs of [NewStoreVault]. Watch the
// store, and call [Ring.Refresh] after their changes.
const StoredPrefix = "keys:"

var (
	// ErrStorageKey is returned, wrapped, if blobs in the store cannot be decrypted
	// with the storage key.
	ErrStorageKey = errors.New("keys: the stored keys cannot be decrypted: they were encrypted with another storage key, or changed")

	// ErrStorageKeyTooShort is returned, wrapped, by every method of a vault whose
	// storage key has less than 32 bytes.
	ErrStorageKeyTooShort = fmt.Errorf("keys: the storage key is shorter than %d bytes", minStorageKey)
)

// NewStoreVault returns a vault whose blobs are in store, so that all nodes with the
// store share the keys. Blobs are sealed with storageKey, which the store must not
// have, so that reading the store is not enough to sign. The key should be 32 random
// bytes or more; a passphrase is not stretched.
//
// The vault keeps a copy of the sealed blobs in memory. Successive vaults over one
// store may share a memory. Then a ring that starts while the store does not answer
// uses the copy. memory may be nil.
//
// Blobs that were sealed with an earlier key are opened, too, and the next Update
// seals them with storageKey.
//
// The vault does not close store.
func NewStoreVault(store storage.Store, storageKey []byte, memory *Memory, before ...[]byte) Vault {
	v := &storeVault{store: store, memory: memory}
	if len(storageKey) < minStorageKey {
		v.err = ErrStorageKeyTooShort
		return v
	}
	for _, key := range append([][]byte{storageKey}, before...) {
		aead, err := deriveAEAD(key, "store vault")
		if err != nil {
			v.err = err
			return v
		}
		v.aeads = append(v.aeads, aead)
	}
	return v
}

// A Memory is a copy of the blobs that vaults last saw in one store. The zero value is
// ready to use. The blobs in it are sealed as in the store, so they can be opened only
// with the same storage key.
type Memory struct {
	mu     sync.Mutex
	sealed map[string][]byte // by name; guarded by mu
}

func (*Memory) Format(s fmt.State, _ rune) { redact(s) }

// remember keeps a copy of the blob that is stored under name.
func (m *Memory) remember(name string, sealed []byte) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sealed == nil {
		m.sealed = make(map[string][]byte)
	}
	m.sealed[name] = sealed
}

func (m *Memory) get(name string) []byte {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sealed[name]
}

type storeVault struct {
	store  storage.Store
	memory *Memory
	aeads  []cipher.AEAD // the first seals, all open
	err    error         // an unusable storage key; returned by every method
}

func (*storeVault) Format(s fmt.State, _ rune) { redact(s) }

func (v *storeVault) Load(ctx context.Context, name string) ([]byte, bool, error) {
	_, blob, err := v.read(ctx, name)
	return blob, blob != nil, err
}

func (v *storeVault) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	for range vaultAttempts {
		old, blob, err := v.read(ctx, name)
		if err != nil {
			return nil, err
		}
		next, err := change(bytes.Clone(blob))
		if err != nil {
			return nil, err
		}
		if next == nil && blob == nil {
			return nil, nil
		}
		written, changed := old, next != nil
		if !changed {
			next = blob // written unchanged, to renew its lifetime
		}
		if _, current := unseal(v.aeads[0], old, name); changed || !current {
			if written, err = seal(v.aeads[0], rand.Reader, next, name); err != nil {
				return nil, fmt.Errorf("sealing keys: %w", err)
			}
		}
		swapped, err := v.store.CompareAndSwap(ctx, vaultKey(name), old, written, vaultLifetime)
		if err != nil {
			return nil, fmt.Errorf("writing keys: %w", err)
		}
		if swapped {
			v.memory.remember(name, written)
			return next, nil
		}
	}
	return nil, fmt.Errorf("writing keys: another node changed them first, %d times in a row", vaultAttempts)
}

// read returns the blob under name, sealed and decrypted. Both are nil if there is
// none.
func (v *storeVault) read(ctx context.Context, name string) (sealed, blob []byte, err error) {
	if v.err != nil {
		return nil, nil, v.err
	}
	sealed, ok, err := v.store.Get(ctx, vaultKey(name))
	if err != nil {
		return nil, nil, fmt.Errorf("reading keys: %w", err)
	}
	if !ok {
		return nil, nil, nil // the memory keeps the old blob, so that it can be restored
	}
	if blob, ok = v.open(sealed, name); !ok {
		return nil, nil, ErrStorageKey
	}
	v.memory.remember(name, sealed)
	return sealed, blob, nil
}

// Recall implements Recaller.
func (v *storeVault) Recall(name string) ([]byte, bool) {
	if v.err != nil {
		return nil, false
	}
	return v.open(v.memory.get(name), name)
}

// open decrypts a blob with the storage key that sealed it.
func (v *storeVault) open(sealed []byte, name string) (blob []byte, ok bool) {
	for _, aead := range v.aeads {
		if blob, ok = unseal(aead, sealed, name); ok {
			return blob, true
		}
	}
	return nil, false
}

func vaultKey(name string) string { return StoredPrefix + name }
