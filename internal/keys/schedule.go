package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

// rsaBits is the size of RSA keys. Clients of the Login API expect it of RS256.
const rsaBits = 2048

// scheduleBlob is the content of a blob of the vault: the keys of one algorithm, in the
// order in which they sign.
type scheduleBlob struct {
	Version   int               `json:"v"`
	Keys      []scheduleBlobKey `json:"keys"`
	Withdrawn []string          `json:"withdrawn,omitempty"` // IDs of keys that must never be used again
}

type scheduleBlobKey struct {
	SignsFrom time.Time `json:"signs_from"`
	PKCS8     []byte    `json:"pkcs8"`

	stored []byte // the JSON that it was read from
}

// UnmarshalJSON implements [json.Unmarshaler].
func (k *scheduleBlobKey) UnmarshalJSON(b []byte) error {
	type plain scheduleBlobKey
	err := json.Unmarshal(b, (*plain)(k))
	k.stored = slices.Clone(b)
	return err
}

// MarshalJSON implements [json.Marshaler]. It keeps the fields that a newer release
// added.
func (k scheduleBlobKey) MarshalJSON() ([]byte, error) {
	type plain scheduleBlobKey
	return records.Encode(records.JSON, plain(k), k.stored)
}

// parseSchedule decodes a blob. Old blobs have no version. A nil blob has no keys.
func parseSchedule(blob []byte) (scheduleBlob, error) {
	b := scheduleBlob{Version: records.Version}
	if blob == nil {
		return b, nil
	}
	err := records.Decode(blob, &b, &b.Version)
	if err != nil && !errors.Is(err, records.ErrVersion) || err == nil && len(b.Keys) == 0 {
		err = errMalformed
	}
	return b, err
}

func (scheduleBlob) Format(s fmt.State, _ rune)    { redact(s) }
func (scheduleBlobKey) Format(s fmt.State, _ rune) { redact(s) }

// verifiesUntil returns the time until which key i verifies. It is zero if the key has
// no successor yet.
func (b scheduleBlob) verifiesUntil(i int, retain time.Duration) time.Time {
	if i+1 == len(b.Keys) {
		return time.Time{}
	}
	return b.Keys[i+1].SignsFrom.Add(retain)
}

// signingKey is a key ready for use.
type signingKey struct {
	id            string // RFC 7638 thumbprint
	algorithm     Algorithm
	signsFrom     time.Time
	verifiesUntil time.Time // zero: it has no successor yet
	public        jose.JSONWebKey
	signer        jose.Signer
}

func (*signingKey) Format(s fmt.State, _ rune) { redact(s) }

func (k *signingKey) verifiesAt(now time.Time) bool {
	return k.verifiesUntil.IsZero() || now.Before(k.verifiesUntil)
}

// schedule has the keys of one algorithm, in the order in which they sign. It has at
// least one.
type schedule []*signingKey

// active returns the index of the key that signs at a time. Before the first key's time
// it is the first key as well: the clock of the node that created it may be ahead of
// ours.
func (s schedule) active(now time.Time) int {
	i := len(s) - 1
	for i > 0 && now.Before(s[i].signsFrom) {
		i--
	}
	return i
}

// public returns the keys to publish: the active one, then the next one, then the
// retired ones that still verify, the latest first.
func (s schedule) public(now time.Time) []jose.JSONWebKey {
	active := s.active(now)
	var keys []jose.JSONWebKey
	for _, key := range s[active:] {
		keys = append(keys, key.public)
	}
	for _, key := range slices.Backward(s[:active]) {
		if key.verifiesAt(now) {
			keys = append(keys, key.public)
		}
	}
	return keys
}

// nextKey reports whether another key is due, and the time from which it signs.
func (r *Ring) nextKey(keys []scheduleBlobKey, now time.Time) (signsFrom time.Time, due bool) {
	if len(keys) == 0 {
		return now, true
	}
	last := keys[len(keys)-1].SignsFrom
	signsFrom = last.Add(r.options.Rotate)
	if now.Before(last) || now.Before(signsFrom.Add(-r.options.Overlap)) {
		return time.Time{}, false
	}
	// No node ran for some time. The new key is still published first.
	if earliest := now.Add(r.options.Overlap); signsFrom.Before(earliest) {
		signsFrom = earliest
	}
	return signsFrom, true
}

// generate creates a private key and encodes it in PKCS #8.
func (r *Ring) generate(alg Algorithm) ([]byte, error) {
	var key crypto.PrivateKey
	var err error
	switch alg {
	case RS256:
		key, err = rsa.GenerateKey(r.options.Rand, rsaBits)
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), r.options.Rand)
	case EdDSA:
		_, key, err = ed25519.GenerateKey(r.options.Rand)
	default:
		err = fmt.Errorf("unknown algorithm %q", alg)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// errMalformed replaces the errors of decoders, since these may quote keys.
var errMalformed = errors.New("the stored keys are malformed")

// schedule decodes the keys.
func (b scheduleBlob) schedule(alg Algorithm, retain time.Duration) (schedule, error) {
	s := make(schedule, 0, len(b.Keys))
	for i, stored := range b.Keys {
		key, err := decodeKey(alg, stored.PKCS8)
		if err != nil {
			return nil, err
		}
		key.signsFrom = stored.SignsFrom
		key.verifiesUntil = b.verifiesUntil(i, retain)
		s = append(s, key)
	}
	return s, nil
}

func decodeKey(alg Algorithm, pkcs8 []byte) (*signingKey, error) {
	private, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil || !fits(alg, private) {
		return nil, errMalformed
	}
	jwk := jose.JSONWebKey{Key: private, Algorithm: string(alg), Use: "sig"}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("key thumbprint: %w", err)
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jwk},
		(&jose.SignerOptions{}).WithType("JWT"),
	)
	if err != nil {
		return nil, fmt.Errorf("making signer: %w", err)
	}
	return &signingKey{id: jwk.KeyID, algorithm: alg, public: jwk.Public(), signer: signer}, nil
}

// fits reports whether a key has the type and size that an algorithm needs.
func fits(alg Algorithm, private any) bool {
	switch key := private.(type) {
	case *rsa.PrivateKey:
		return alg == RS256 && key.N.BitLen() >= rsaBits
	case *ecdsa.PrivateKey:
		return alg == ES256 && key.Curve == elliptic.P256()
	case ed25519.PrivateKey:
		return alg == EdDSA
	}
	return false
}
