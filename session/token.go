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

// A token has 32 bytes, or 24 if its record is of format 2. Then the rest of a
// [Token] is shortTail, and the second half of its [Key] is zero. So a token, and a
// key, tells under which of two names its record is stored. The probability that a
// token of 32 bytes looks like one of 24 is 2^-64.
const (
	shortToken = 24
	shortKey   = 16
)

var shortTail = [len(Token{}) - shortToken]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// strict refuses unused bits that are set, so that every token has only one spelling.
var strict = base64.RawURLEncoding.Strict()

// A Token is the secret in a session cookie. It prints as "[redacted]" with every
// verb and in JSON; only [Token.Encode] reveals it.
type Token [32]byte

// ParseToken parses a result of [Token.Encode]. It refuses anything else, even
// another spelling of the same bytes.
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
	// The decoder skips line breaks, so a short result is refused, too.
	if n, err := strict.Decode(t[:], in[:len(s)]); err != nil || n != size {
		return Token{}, false
	}
	if size == shortToken {
		copy(t[shortToken:], shortTail[:]) // the decoder may have written here
	}
	if t.size() != size {
		return Token{}, false
	}
	return t, true
}

// newToken reads a token of size bytes from random.
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

// size is the number of random bytes.
func (t *Token) size() int {
	if [len(shortTail)]byte(t[shortToken:]) == shortTail {
		return shortToken
	}
	return len(t)
}

// Encode returns the value of the cookie: 43 or 32 characters of base64url. Use it
// for nothing else.
func (t Token) Encode() string { return strict.EncodeToString(t[:t.size()]) }

// Key returns the hash by which everything but the browser knows the token.
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

// Format prints [redacted] with every verb.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText keeps the secret out of JSON and structured logs.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Key is the SHA-256 of a [Token]. Stores and maps use it; it is no credential. For
// a token of 24 bytes it is the first half of the SHA-256, followed by zeros.
type Key [32]byte

// short reports whether the key belongs to a token of 24 bytes.
func (k *Key) short() bool { return [len(k) - shortKey]byte(k[shortKey:]) == [len(k) - shortKey]byte{} }

// bytes returns the key without the zeros.
func (k *Key) bytes() []byte {
	if k.short() {
		return k[:shortKey]
	}
	return k[:]
}

// keyOf is the inverse of bytes.
func keyOf(b []byte) (k Key, ok bool) {
	return k, copy(k[:], b) == len(b) && (len(b) == shortKey || len(b) == len(k))
}

// tokenSize is the size of the token of k.
func (k *Key) tokenSize() int {
	if k.short() {
		return shortToken
	}
	return len(Token{})
}

// idLength is the number of hex characters of [Key.ID].
const idLength = 16

// ID returns a short ID for logs and administration: the first 16 hex characters of
// the key.
func (k Key) ID() string { return hex.EncodeToString(k[:idLength/2]) }

// Whole returns the whole key in hex. [Key.ID] is its beginning.
func (k Key) Whole() string { return hex.EncodeToString(k[:]) }

func (k Key) String() string { return k.ID() }

// A prefix begins the storage keys of one kind of record. In format 1, 64 hex
// characters follow; in format 2, 16 bytes.
type prefix struct{ long, short string }

var (
	sessionPrefix = prefix{"session:", "S"}
	sitePrefix    = prefix{"site:", "T"}
	userPrefix    = prefix{"user:", "U"} // the sessions of a user
)

// sitesPrefix begins the storage keys of lists of site sessions. An SSO session of
// format 2 has the list in its own record.
const sitesPrefix = "sites:"

// Prefixes returns the prefixes of the storage keys of sessions. Removing such a key
// ends a session, and no key is ever used again.
func Prefixes() []string { return []string{sessionPrefix.long, sessionPrefix.short} }

// Seekable returns the prefixes of the storage keys of sessions, and for each the
// number of random bytes after it that [Sessions.Find] has at least.
func Seekable() map[string]int {
	return map[string]int{sessionPrefix.long: idLength, sessionPrefix.short: idLength / 2}
}

// in returns the storage key for k under a prefix.
func (k Key) in(p prefix) string {
	if k.short() {
		return p.short + string(k[:shortKey])
	}
	return p.long + k.Whole()
}

// begin returns the beginnings, one for each format, of the storage keys whose Key
// begins with first.
func (p prefix) begin(first []byte) []string {
	return []string{p.long + hex.EncodeToString(first), p.short + string(first[:min(len(first), shortKey)])}
}

// parse is the inverse of [Key.in].
func (p prefix) parse(stored string) (k Key, ok bool) {
	if rest, ok := strings.CutPrefix(stored, p.long); ok {
		return parseKey(rest)
	}
	if rest, ok := strings.CutPrefix(stored, p.short); ok && len(rest) == shortKey {
		return keyOf([]byte(rest))
	}
	return Key{}, false
}

// parseKey parses a key in hex.
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
