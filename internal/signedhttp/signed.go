// Package signedhttp is how the portal and an operator's own servers talk to each
// other: JSON over HTTP, signed with a secret that both have.
//
// A request carries `X-Sso-Signature: t=<Unix seconds>,v1=<hex>`, where the hex
// is HMAC-SHA256, by the secret, of the seconds, a dot and the body. Who gets it
// compares, and refuses what is old.
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

// Header carries the signature.
const Header = "X-Sso-Signature"

// minSecret is the least, in bytes, that a secret has.
const minSecret = 16

// A Secret signs, and cannot be printed.
type Secret struct{ key []byte }

// NewSecret takes a secret of at least 16 characters.
func NewSecret(secret string) (Secret, error) {
	if len(secret) < minSecret {
		return Secret{}, errors.New("the secret is shorter than 16 characters; make one with: openssl rand -base64 32")
	}
	return Secret{[]byte(secret)}, nil
}

// Format keeps the secret out of whatever prints it.
func (Secret) Format(f fmt.State, _ rune) {
	io.WriteString(f, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// Sign is the value of Header for a body that is sent at a time.
func (s Secret) Sign(body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// What Verify returns.
var (
	ErrSignature = errors.New("the signature is not that of this body and secret")
	ErrTime      = errors.New("the signature is too old, or from the future: see the clocks of both servers")
)

// Verify says what is wrong with the value of Header, at time now. The clocks of
// both servers may be off, and the request may have taken, at most within. There
// is one right value for a body and a time, so it also tells a request that was
// seen before.
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
