package licenseapi

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A SignatureKey signs answers, and licensed software verifies them. The key is read,
// or made, when it is first needed. A SignatureKey is safe for concurrent use, and
// prints as [redacted].
type SignatureKey struct {
	read           func(context.Context) ([]byte, error)
	renew, refresh func(context.Context) error // nil: the path of a file does not change

	reading sync.Mutex
	loaded  atomic.Pointer[signatureKey]
}

// signatureKey is a parsed key, and its PEM.
type signatureKey struct {
	*rsa.PrivateKey
	text []byte
}

// signatureBits is the size of a new key. A given key must not be smaller, and not so
// large that a signature costs too much.
const (
	signatureBits    = 2048
	maxSignatureBits = 8192
)

// SignatureKeyFile is an RSA key in a PEM file (PKCS #1 or PKCS #8). A missing file
// is created.
func SignatureKeyFile(path string) *SignatureKey {
	return &SignatureKey{read: func(context.Context) ([]byte, error) {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			text, err = makeKeyFile(path)
		}
		if err != nil {
			return nil, fmt.Errorf("signature_key: %w", err)
		}
		return text, nil
	}}
}

// SignatureKeyVault is a key that all nodes with the same vault share. Licensed
// software has the public half built in, so the oldest key that a node knows is the
// valid one. If the vault loses it, that node writes it back, and a node that made a
// newer key discards that.
func SignatureKeyVault(v keys.Vault) *SignatureKey {
	k := new(SignatureKey)
	update := func(ctx context.Context, known []byte) ([]byte, error) {
		text, err := v.Update(ctx, vaultName, func(old []byte) ([]byte, error) {
			switch {
			case known != nil && (old == nil || made(known).Before(made(old))):
				return known, nil
			case old != nil:
				return nil, nil
			}
			return newKey(map[string]string{madeHeader: time.Now().UTC().Format(time.RFC3339Nano)})
		})
		if err != nil {
			return nil, fmt.Errorf("the signature key: %w", err)
		}
		return text, nil
	}
	k.read = func(ctx context.Context) ([]byte, error) {
		known := k.known(v)
		text, err := update(ctx, known)
		if err == nil {
			return text, nil
		}
		// A key that cannot be renewed, because the disk is full, is still valid.
		if stored, ok, loadErr := v.Load(ctx, vaultName); ok && loadErr == nil {
			return stored, nil
		}
		if known != nil && errors.Is(err, storage.ErrUnavailable) {
			return known, nil
		}
		return nil, err
	}
	k.renew = func(ctx context.Context) error {
		text, err := update(ctx, k.known(v))
		if err != nil {
			return err
		}
		_, err = k.use(text)
		return err
	}
	k.refresh = func(ctx context.Context) error {
		text, ok, err := v.Load(ctx, vaultName)
		if err != nil {
			return fmt.Errorf("refreshing the signature key: %w", err)
		}
		if loaded := k.loaded.Load(); ok && bytes.Equal(text, loaded.text) {
			return nil
		}
		return k.renew(ctx)
	}
	return k
}

const vaultName = "license-signature"

// known is the key in memory; nil if there is none.
func (k *SignatureKey) known(v keys.Vault) []byte {
	if loaded := k.loaded.Load(); loaded != nil {
		return loaded.text
	}
	if r, ok := v.(keys.Recaller); ok {
		if seen, ok := r.Recall(vaultName); ok {
			return seen
		}
	}
	return nil
}

// Maintain renews the stored key, which would expire otherwise. Call it every hour.
func (k *SignatureKey) Maintain(ctx context.Context) error {
	if k.renew == nil || k.loaded.Load() == nil {
		return nil
	}
	return k.renew(ctx)
}

// Refresh reads changes by other nodes, and writes the key back if it was lost. Call
// it whenever the vault may have changed.
func (k *SignatureKey) Refresh(ctx context.Context) error {
	if k.refresh == nil || k.loaded.Load() == nil {
		return nil
	}
	return k.refresh(ctx)
}

// Format prints [redacted].
func (*SignatureKey) Format(s fmt.State, _ rune) {
	io.WriteString(s, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// Load reads the key, so that a fault is reported at once.
func (k *SignatureKey) Load(ctx context.Context) error {
	_, err := k.key(ctx)
	return err
}

// Sign signs with RSA-SHA256 and PKCS #1 v1.5 padding, which clients have built in.
func (k *SignatureKey) Sign(ctx context.Context, body []byte) ([]byte, error) {
	key, err := k.key(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
}

// Public is the public half, as PEM.
func (k *SignatureKey) Public(ctx context.Context) ([]byte, error) {
	key, err := k.key(ctx)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public half of the signature key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func (k *SignatureKey) key(ctx context.Context) (*rsa.PrivateKey, error) {
	if key := k.loaded.Load(); key != nil {
		return key.PrivateKey, nil
	}
	k.reading.Lock()
	defer k.reading.Unlock()
	if key := k.loaded.Load(); key != nil {
		return key.PrivateKey, nil
	}
	text, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	return k.use(text)
}

// use makes a key the current one.
func (k *SignatureKey) use(text []byte) (*rsa.PrivateKey, error) {
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("signature_key: %w", err)
	}
	k.loaded.Store(&signatureKey{key, text})
	return key, nil
}

var errNoKey = errors.New("is no RSA key in PEM; make one with: openssl genrsa -out <file> 2048")

// parseKey reads PKCS #1 or PKCS #8. Its errors contain no part of the key.
func parseKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errNoKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errNoKey
	}
	if bits := key.N.BitLen(); bits < signatureBits || bits > maxSignatureBits {
		return nil, fmt.Errorf("has %d bits; expected %d to %d", bits, signatureBits, maxSignatureBits)
	}
	return key, nil
}

func newKey(headers map[string]string) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, signatureBits)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Headers: headers, Bytes: der}), nil
}

// madeHeader is the header of a PEM block in a vault with the time at which the key
// was made.
const madeHeader = "Made"

// made returns when a key was made. A key without the header is older than all others.
func made(text []byte) (t time.Time) {
	if block, _ := pem.Decode(text); block != nil {
		t, _ = time.Parse(time.RFC3339Nano, block.Headers[madeHeader])
	}
	return t
}

// makeKeyFile writes a new key to a temporary file and links it to the path. A link
// never replaces a file. So if two processes come at once, both read the key of the
// first, and no process reads an incomplete file.
func makeKeyFile(path string) ([]byte, error) {
	text, err := newKey(nil) // openssl accepts only its own headers
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	beside, err := os.CreateTemp(filepath.Dir(path), ".signature-key-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(beside.Name())
	_, err = beside.Write(text)
	if err = errors.Join(err, beside.Sync(), beside.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(beside.Name(), path); errors.Is(err, fs.ErrExist) {
		return os.ReadFile(path)
	} else if err != nil {
		return nil, err
	}
	return text, nil
}
