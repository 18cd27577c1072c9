package local

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/signin"
)

// maxTypedPassword is the most that a password of MaxPassword bytes has before it is
// normalized: a Hangul syllable has a third of the bytes of its three letters.
const maxTypedPassword = 3 * signin.MaxPassword

var (
	errPasswordLength     = fmt.Errorf("expected a password of 1 to %d bytes", signin.MaxPassword)
	errPasswordCharacters = errors.New("the password is not UTF-8, or has a control character or one that cannot be seen, as some emoji have; leave it out (RFC 8265 section 4.2)")
)

// NormalizePassword returns the form in which a password is hashed (RFC 8265 section
// 4.2, OpaqueString), so that it does not matter which form of a character a keyboard
// sends. Its errors contain no part of the password.
func NormalizePassword(password string) (string, error) {
	if password == "" || len(password) > maxTypedPassword {
		return "", errPasswordLength
	}
	normalized, err := precis.OpaqueString.String(password)
	if err != nil || !utf8.ValidString(password) { // it takes all bytes that are no UTF-8 for the same character
		return "", errPasswordCharacters
	}
	if len(normalized) > signin.MaxPassword {
		return "", errPasswordLength
	}
	return normalized, nil
}

// passwordForms returns the forms of a password that a hash may belong to: the
// normalized form, and the typed bytes, which older releases and other programs hash.
// Their number depends only on the password, so the time of the comparison reveals
// nothing about an account. None: the password is never right.
func passwordForms(password string) []string {
	normalized, err := NormalizePassword(password)
	switch {
	case err == nil && (normalized == password || len(password) > signin.MaxPassword):
		return []string{normalized}
	case err == nil:
		return []string{normalized, password}
	case password != "" && len(password) <= signin.MaxPassword:
		return []string{password}
	}
	return nil
}

// A Comparer reports whether a hash belongs to a password.
type Comparer func(hashed, plaintext []byte) (bool, error)

// Comparers are the kinds of hash that can be checked.
type Comparers struct {
	Bcrypt, Argon2id Comparer
}

// A Hash is a password hash that cannot be printed.
type Hash struct {
	encoded string
	class   string // algorithm and cost: hashes of one class take the same work
	mark    string // tells the hash from others, and nothing of the password
	compare Comparer
}

func (Hash) String() string   { return "[redacted]" }
func (Hash) GoString() string { return "[redacted]" }

var errNoHash = errors.New("the password has to be a bcrypt or argon2id hash; make one with: caddy hash-password")

// Bounds on the cost of checking one password.
const (
	maxBcryptCost     = 18
	maxArgon2MemoryKB = 1 << 20
	maxArgon2Time     = 64
)

// ParseHash reads a hash as `caddy hash-password` prints it.
func ParseHash(encoded string, c Comparers) (Hash, error) {
	h, err := parseHash(encoded, c)
	if errors.Is(err, errNoHash) {
		return Hash{}, notAHash(encoded)
	}
	if err != nil {
		return Hash{}, err
	}
	h.mark = subjects.MarkOf(encoded)
	return h, nil
}

func parseHash(encoded string, c Comparers) (Hash, error) {
	parts := strings.Split(encoded, "$")
	switch {
	case len(parts) == 4 && (parts[1] == "2a" || parts[1] == "2b" || parts[1] == "2y"):
		cost, err := strconv.Atoi(parts[2])
		if err != nil || cost < 4 || len(parts[2]) != 2 || len(parts[3]) != 53 || !onlyBcrypt64(parts[3]) {
			return Hash{}, errNoHash
		}
		if cost > maxBcryptCost {
			return Hash{}, fmt.Errorf("a bcrypt cost of %d would keep a core busy for minutes; use at most %d", cost, maxBcryptCost)
		}
		return Hash{encoded: encoded, class: "bcrypt " + parts[2], compare: c.Bcrypt}, nil
	case len(parts) == 6 && parts[1] == "argon2id":
		var memory, time, threads int
		if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || n != 3 ||
			fmt.Sprintf("m=%d,t=%d,p=%d", memory, time, threads) != parts[3] ||
			memory < 1 || time < 1 || threads < 1 || threads > 255 || len(parts[4]) < 11 || len(parts[5]) < 22 {
			return Hash{}, errNoHash
		}
		if memory > maxArgon2MemoryKB || time > maxArgon2Time {
			return Hash{}, fmt.Errorf("an argon2id cost of %s is too much for a sign-in; use at most m=%d,t=%d", parts[3], maxArgon2MemoryKB, maxArgon2Time)
		}
		h := Hash{encoded: encoded, class: fmt.Sprintf("argon2id %s %d", parts[3], len(parts[5])), compare: c.Argon2id}
		if _, err := h.decoyOfMinimalCost().Matches(""); err != nil {
			return Hash{}, errNoHash
		}
		return h, nil
	}
	return Hash{}, errNoHash
}

// Matches reports whether the hash belongs to a password.
func (h Hash) Matches(password string) (bool, error) {
	return h.compare([]byte(h.encoded), []byte(password))
}

// decoy is a hash of the same cost that no password has.
func (h Hash) decoy() Hash {
	Excerpt := len("$2a$14$") + 22
	if strings.HasPrefix(h.class, "argon2id") {
		Excerpt = strings.LastIndexByte(h.encoded, '$') + 1
	}
	h.encoded = h.encoded[:Excerpt] + strings.Repeat("A", len(h.encoded)-Excerpt)
	return h
}

// decoyOfMinimalCost has the salt and key of an argon2id hash, to find out
// whether they can be read, without the work of its cost.
func (h Hash) decoyOfMinimalCost() Hash {
	parts := strings.Split(h.encoded, "$")
	parts[3] = "m=8,t=1,p=1"
	h.encoded = strings.Join(parts, "$")
	return h
}

func onlyBcrypt64(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
