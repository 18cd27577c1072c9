package keys

import (
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// HS256 is the algorithm of a [SharedKey]. A [Ring] has no keys for it.
const HS256 Algorithm = "HS256"

// MinSharedKey is the minimum length of a shared key, in bytes (RFC 7518 section 3.2).
const MinSharedKey = 32

// A SharedKey signs tokens with HS256. Every verifier has the key, and can forge
// tokens with it, so it is only for the tokens of one client.
type SharedKey struct {
	secret []byte
	signer jose.Signer
}

// NewSharedKey returns the key with a secret of at least MinSharedKey bytes.
func NewSharedKey(secret string) (*SharedKey, error) {
	if len(secret) < MinSharedKey {
		return nil, fmt.Errorf("keys: the shared key has %d bytes; at least %d are required", len(secret), MinSharedKey)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("keys: making a signer: %w", err)
	}
	return &SharedKey{secret: []byte(secret), signer: signer}, nil
}

// Format hides the key if it is printed.
func (*SharedKey) Format(s fmt.State, _ rune) { redact(s) }

// Sign encodes claims as JSON and returns them as a compact JWS.
func (k *SharedKey) Sign(claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	jws, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	return token, nil
}

// Verify returns the payload of a compact JWS that was signed with this key and
// HS256.
func (k *SharedKey) Verify(token string) ([]byte, error) {
	jws, err := parseShared(token)
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify(k.secret)
	if err != nil {
		return nil, fmt.Errorf("%w: wrong signature", ErrToken)
	}
	return payload, nil
}

// Unverified returns the payload of a token whose header says HS256, so that the caller
// can find the key of the token. Do not trust the payload before Verify. ok is false if
// the token is malformed or has another algorithm.
func Unverified(token string) (payload []byte, ok bool) {
	jws, err := parseShared(token)
	if err != nil {
		return nil, false
	}
	return jws.UnsafePayloadWithoutVerification(), true
}

func parseShared(token string) (*jose.JSONWebSignature, error) {
	return parse(token, []jose.SignatureAlgorithm{jose.HS256})
}
