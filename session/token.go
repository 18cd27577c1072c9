package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

const redacted = "[redacted]"

// A token has 32 bytes, or 24 if its record is of format 2: then the rest of a
// [Token] is shortTail, and the second half of its [Key] is zero. So the token itself
// says under which of two names its record is stored, and so does a key. That a
// token of 32 bytes looks like one of 24 happens once in 2^64.
const (
	shortToken = 24
	shortKey   = 16
)

var shortTail = [len(Token{}) - shortToken]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// strict refuses unused bits that are set, so that every token has one
// spelling only.
var strict = base64.RawURLEncoding.Strict()

// A Token is the secret in a session cookie. It prints as "[redacted]" under
// every verb and in JSON; only [Token.Encode] gives it away.
type Token [32]byte

// ParseToken reads what [Token.Encode] wrote. Anything else, other spellings
// of the same bytes included, is refused.
func ParseToken(s string) (Token, bool) {
	var t Token
	size := len(t)
	switch len(s) {
	case strict.EncodedLen(len(t)):
	case strict.EncodedLen(shortToken):
		size = shortToken
	default:
		return Token{}, false
	}
	var in [43]byte
	copy(in[:], s)
	// The decoder skips line breaks, so a short result is a refusal too.
	if n, err := strict.Decode(t[:], in[:len(s)]); err != nil || n != size {
		return Token{}, false
	}
	if size == shortToken {
		copy(t[shortToken:], shortTail[:]) // the decoder may have written there
	}
	if t.size() != size {
		return Token{}, false
	}
	return t, true
}

// newToken draws a token of size bytes from random.
func newToken(random io.Reader, size int) (Token, error) {
	var t Token
	if _, err := io.ReadFull(random, t[:size]); err != nil {
		return Token{}, fmt.Errorf("drawing a token: %w", err)
	}
	if size == shortToken {
		copy(t[shortToken:], shortTail[:])
	}
	return t, nil
}

// size is the number of bytes that were drawn.
func (t *Token) size() int {
	if [len(shortTail)]byte(t[shortToken:]) == shortTail {
		return shortToken
	}
	return len(t)
}

// Encode returns the token as the 43 or 32 characters of base64url that stand in
// the cookie, and belong nowhere else.
func (t Token) Encode() string { return strict.EncodeToString(t[:t.size()]) }

// Key returns the name under which everyone but the browser knows the token.
func (t Token) Key() Key {
	if t.size() == shortToken {
		var k Key
		sum := sha256.Sum256(t[:shortToken])
		copy(k[:shortKey], sum[:])
		return k
	}
	return sha256.Sum256(t[:])
}

func (Token) String() string   { return redacted }
func (Token) GoString() string { return redacted }

// Format keeps %x, %v and all other verbs from printing the secret.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText keeps the secret out of JSON and structured logs.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Key is the SHA-256 of a [Token]: what stores and maps know, and what opens
// nothing. That of a token of 24 bytes is the first half of its SHA-256, and zero.
type Key [32]byte

// short says whether the key is that of a token of 24 bytes.
func (k *Key) short() bool { return [len(k) - shortKey]byte(k[shortKey:]) == [len(k) - shortKey]byte{} }

// bytes are the key without its zeros.
func (k *Key) bytes() []byte {
	if k.short() {
		return k[:shortKey]
	}
	return k[:]
}

// keyOf undoes bytes.
func keyOf(b []byte) (k Key, ok bool) {
	return k, copy(k[:], b) == len(b) && (len(b) == shortKey || len(b) == len(k))
}

// tokenSize is that of tokens whose records are stored as that of k.
func (k *Key) tokenSize() int {
	if k.short() {
		return shortToken
	}
	return len(Token{})
}

// idLength is the number of hex characters of [Key.ID].
const idLength = 16

// ID returns a short name for logs and administration: the first 16 hex
// characters of the key.
func (k Key) ID() string { return hex.EncodeToString(k[:idLength/2]) }

// Whole returns all of the key in hex: what [Key.ID] is the beginning of.
func (k Key) Whole() string { return hex.EncodeToString(k[:]) }

func (k Key) String() string { return k.ID() }

// A prefix begins the keys of one kind of record in the store: those of format 1,
// which go on with 64 hex characters, and those of format 2, with 16 bytes.
type prefix struct{ long, short string }

var (
	sessionPrefix = prefix{"session:", "S"}
	sitePrefix    = prefix{"site:", "T"}
	userPrefix    = prefix{"user:", "U"} // the sessions of a user
)

// sitesPrefix begins the keys of lists of the site sessions of an SSO session. One
// of format 2 has them in its own record.
const sitesPrefix = "sites:"

// Prefixes are what the keys of stored sessions begin with. Whoever removes what is
// under one ends a session; none is ever used again.
func Prefixes() []string { return []string{sessionPrefix.long, sessionPrefix.short} }

// Seekable are the prefixes of stored sessions, and for each how many bytes behind
// it, which are random, [Sessions.Find] has at least.
func Seekable() map[string]int {
	return map[string]int{sessionPrefix.long: idLength, sessionPrefix.short: idLength / 2}
}

// in returns the store's key for k under a prefix.
func (k Key) in(p prefix) string {
	if k.short() {
		return p.short + string(k[:shortKey])
	}
	return p.long + k.Whole()
}

// begin is what the store's keys begin with whose Keys begin with first: one of each
// format.
func (p prefix) begin(first []byte) []string {
	return []string{p.long + hex.EncodeToString(first), p.short + string(first[:min(len(first), shortKey)])}
}

// parse undoes [Key.in].
func (p prefix) parse(stored string) (k Key, ok bool) {
	if rest, ok := strings.CutPrefix(stored, p.long); ok {
		return parseKey(rest)
	}
	if rest, ok := strings.CutPrefix(stored, p.short); ok && len(rest) == shortKey {
		return keyOf([]byte(rest))
	}
	return Key{}, false
}

// parseKey undoes hex.
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
