package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
)

const redacted = "[redacted]"

// tokenLength is the number of characters of an encoded [Token].
const tokenLength = 43

// strict refuses unused bits that are set, so that every token has one
// spelling only.
var strict = base64.RawURLEncoding.Strict()

// A Token is the secret in a session cookie. It prints as "[redacted]" under
// every verb and in JSON; only [Token.Encode] gives it away.
type Token [32]byte

// ParseToken reads what [Token.Encode] wrote. Anything else, other spellings
// of the same bytes included, is refused.
func ParseToken(s string) (Token, bool) {
	if len(s) != tokenLength {
		return Token{}, false
	}
	var in [tokenLength]byte
	copy(in[:], s)
	var t Token
	// The decoder skips line breaks, so a short result is a refusal too.
	if n, err := strict.Decode(t[:], in[:]); err != nil || n != len(t) {
		return Token{}, false
	}
	return t, true
}

// newToken draws a token from random.
func newToken(random io.Reader) (Token, error) {
	var t Token
	if _, err := io.ReadFull(random, t[:]); err != nil {
		return Token{}, fmt.Errorf("drawing a token: %w", err)
	}
	return t, nil
}

// Encode returns the token as the 43 characters of base64url that stand in the
// cookie, and belong nowhere else.
func (t Token) Encode() string { return strict.EncodeToString(t[:]) }

// Key returns the name under which everyone but the browser knows the token.
func (t Token) Key() Key { return sha256.Sum256(t[:]) }

func (Token) String() string   { return redacted }
func (Token) GoString() string { return redacted }

// Format keeps %x, %v and all other verbs from printing the secret.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText keeps the secret out of JSON and structured logs.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Key is the SHA-256 of a [Token]: what stores and maps know, and what opens
// nothing.
type Key [32]byte

// idLength is the number of hex characters of [Key.ID].
const idLength = 16

// ID returns a short name for logs and administration: the first 16 hex
// characters of the key.
func (k Key) ID() string { return hex.EncodeToString(k[:idLength/2]) }

// Whole returns all of the key in hex: what [Key.ID] is the beginning of.
func (k Key) Whole() string { return hex.EncodeToString(k[:]) }

func (k Key) String() string { return k.ID() }

// Prefix begins the keys of stored sessions. Whoever removes what is under one
// ends a session; none is ever used again.
const Prefix = sessionPrefix

const (
	sessionPrefix = "session:"
	sitePrefix    = "site:"
	sitesPrefix   = "sites:" // of an SSO session
	userPrefix    = "user:"  // the sessions of a user
)

// in returns the store's key for k under prefix.
func (k Key) in(prefix string) string { return prefix + k.Whole() }

// parseKey reads the rest of a store's key after its prefix.
func parseKey(s string) (Key, bool) {
	var k Key
	if len(s) != hex.EncodedLen(len(k)) {
		return Key{}, false
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return Key{}, false
	}
	return k, true
}
