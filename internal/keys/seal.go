package keys

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

// maxSealed bounds the length of a sealed and encoded value.
const maxSealed = 64 << 10

// strictBase64 is strict, so that each value has only one encoding.
var strictBase64 = base64.RawURLEncoding.Strict()

// sealingBlob is the content of a blob of the vault: the sealing keys. Each is 32
// random bytes, from which the encryption keys are derived.
type sealingBlob struct {
	Version   int      `json:"v"`
	Root      []byte   `json:"root"`                // seals and opens
	Older     [][]byte `json:"older,omitempty"`     // open values from nodes that had another Root
	Withdrawn []string `json:"withdrawn,omitempty"` // IDs of keys that must never be used again
}

func (sealingBlob) Format(s fmt.State, _ rune) { redact(s) }

// sealer has the decoded sealing keys. The first one seals.
type sealer struct {
	aeads []cipher.AEAD
	ids   []string
}

// open decrypts a value that one of the keys sealed with one of the labels.
func (s *sealer) open(raw []byte, labels []string) (plaintext []byte, ok bool) {
	for _, aead := range s.aeads {
		for _, label := range labels {
			if plaintext, ok := unseal(aead, raw, label); ok {
				return plaintext, true
			}
		}
	}
	return nil, false
}

func (*sealer) Format(s fmt.State, _ rune) { redact(s) }

// Seal encrypts and authenticates plaintext with XChaCha20-Poly1305, and encodes the
// result in base64url. The value can be opened only with the same label. Sealing the
// same plaintext twice gives two different values.
func (r *Ring) Seal(ctx context.Context, label string, plaintext []byte) (string, error) {
	k, err := r.keyring(ctx)
	if err != nil {
		return "", err
	}
	raw := chacha20poly1305.NonceSizeX + len(plaintext) + chacha20poly1305.Overhead
	if strictBase64.EncodedLen(raw) > maxSealed {
		return "", fmt.Errorf("sealing value: over %d bytes", maxSealed)
	}
	sealed, err := seal(k.sealer.aeads[0], r.options.Rand, plaintext, label)
	if err != nil {
		return "", fmt.Errorf("sealing value: %w", err)
	}
	return strictBase64.EncodeToString(sealed), nil
}

// Unseal returns the plaintext of a value that was sealed with label, or [ErrSealed].
// After an error that does not wrap [ErrSealed] the value may still be valid.
func (r *Ring) Unseal(ctx context.Context, label, sealed string) ([]byte, error) {
	return r.UnsealAny(ctx, sealed, label)
}

// UnsealAny returns the plaintext of a value that was sealed with one of the labels, or
// [ErrSealed].
func (r *Ring) UnsealAny(ctx context.Context, sealed string, labels ...string) ([]byte, error) {
	k, err := r.keyring(ctx)
	if err != nil {
		return nil, err
	}
	if len(sealed) > maxSealed {
		return nil, ErrSealed
	}
	raw, err := strictBase64.DecodeString(sealed)
	// The decoder ignores line breaks, so the length must be checked, too.
	if err != nil || strictBase64.EncodedLen(len(raw)) != len(sealed) {
		return nil, ErrSealed
	}
	if plaintext, ok := k.sealer.open(raw, labels); ok {
		return plaintext, nil
	}
	if len(raw) < chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return nil, ErrSealed
	}
	// Another node may have sealed it with a key that is not known here yet.
	if k, err = r.reloadFor(ctx, sealed); err != nil {
		return nil, err
	}
	if plaintext, ok := k.sealer.open(raw, labels); ok {
		return plaintext, nil
	}
	return nil, ErrSealed
}

// SealUnder seals with a secret of high entropy, without a ring. Only the holder of
// the secret can open the stored value; the store alone cannot.
func SealUnder(secret []byte, label string, plaintext []byte) ([]byte, error) {
	aead, err := deriveAEAD(secret, "under:"+label)
	if err != nil {
		return nil, fmt.Errorf("sealing value: %w", err)
	}
	return seal(aead, rand.Reader, plaintext, label)
}

// UnsealUnder returns the plaintext of a value that was sealed with the same secret and
// label, or [ErrSealed].
func UnsealUnder(secret []byte, label string, sealed []byte) ([]byte, error) {
	aead, err := deriveAEAD(secret, "under:"+label)
	if err != nil {
		return nil, fmt.Errorf("unsealing value: %w", err)
	}
	plaintext, ok := unseal(aead, sealed, label)
	if !ok {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// parseSealing decodes a blob. Old blobs have no version. A nil blob has no keys.
func parseSealing(blob []byte) (sealingBlob, error) {
	b := sealingBlob{Version: records.Version}
	if blob == nil {
		return b, nil
	}
	err := records.Decode(blob, &b, &b.Version)
	if errors.Is(err, records.ErrVersion) {
		return b, err
	}
	if err != nil {
		return b, errMalformed
	}
	for _, root := range append([][]byte{b.Root}, b.Older...) {
		if len(root) != chacha20poly1305.KeySize {
			return b, errMalformed
		}
	}
	return b, nil
}

// sealer derives the encryption keys.
func (b sealingBlob) sealer() (*sealer, error) {
	if b.Root == nil {
		return nil, errMalformed
	}
	s := new(sealer)
	for _, root := range b.roots() {
		aead, err := deriveAEAD(root, "seal")
		if err != nil {
			return nil, err
		}
		s.aeads, s.ids = append(s.aeads, aead), append(s.ids, sealingID(root))
	}
	return s, nil
}

// deriveAEAD returns XChaCha20-Poly1305 with a key derived from secret. A different
// info gives an independent key.
func deriveAEAD(secret []byte, info string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, info, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("deriving key: %w", err)
	}
	return chacha20poly1305.NewX(key)
}

// seal returns a random nonce, followed by the ciphertext. It can be decrypted only
// with the same name.
func seal(aead cipher.AEAD, random io.Reader, plaintext []byte, name string) ([]byte, error) {
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plaintext)+aead.Overhead())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	return aead.Seal(nonce, nonce, plaintext, []byte(name)), nil
}

// unseal is the reverse of seal.
func unseal(aead cipher.AEAD, sealed []byte, name string) ([]byte, bool) {
	if len(sealed) < aead.NonceSize() {
		return nil, false
	}
	nonce, ciphertext := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	plaintext, err := aead.Open([]byte{}, nonce, ciphertext, []byte(name))
	return plaintext, err == nil
}
