// Package signedhttp signs the JSON requests between the portal and an operator's own
// servers with a shared secret.
//
// A request has the header `X-Sso-Signature: t=<Unix seconds>,v1=<hex>`. The hex
// value is the HMAC-SHA256, with the secret as key, of the seconds, a dot and the
// body. The receiver compares it, and refuses an old request.
package signedhttp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Header is the name of the header with the signature.
const Header = "X-Sso-Signature"

// minSecret is the minimal length of a secret, in bytes.
const minSecret = 16

// A Secret signs and verifies. It prints as [redacted].
type Secret struct{ key []byte }

// NewSecret returns a Secret. It refuses one shorter than 16 characters.
func NewSecret(secret string) (Secret, error) {
	if len(secret) < minSecret {
		return Secret{}, errors.New("the secret is shorter than 16 characters; make one with: openssl rand -base64 32")
	}
	return Secret{[]byte(secret)}, nil
}

// Format prints [redacted].
func (Secret) Format(f fmt.State, _ rune) {
	io.WriteString(f, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// Sign returns the value of [Header] for a body and the time of sending.
func (s Secret) Sign(body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// The errors of Verify.
var (
	ErrSignature = errors.New("the signature is not that of this body and secret")
	ErrTime      = errors.New("the signature is too old, or from the future: see the clocks of both servers")
)

// Verify checks the value of [Header] at time now. The difference of both clocks and
// the time on the way may be at most within. A body and a time have exactly one valid
// value, so the value also identifies a replayed request.
func (s Secret) Verify(signature string, body []byte, now time.Time, within time.Duration) error {
	t, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || len(s.key) == 0 || !hmac.Equal([]byte(signature), []byte(s.Sign(body, time.Unix(seconds, 0)))) {
		return ErrSignature
	}
	if seconds < now.Add(-within).Unix() || seconds > now.Add(within).Unix() {
		return ErrTime
	}
	return nil
}
