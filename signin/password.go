package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Comparer says whether a hash is of a password.
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

// Bounds on what checking one password may cost.
const (
	maxBcryptCost     = 18
	maxArgon2MemoryKB = 1 << 20
	maxArgon2Time     = 64
)

// ParseHash reads a hash as `caddy hash-password` prints it.
func ParseHash(encoded string, c Comparers) (Hash, error) {
	h, err := parseHash(encoded, c)
	if err != nil {
		return Hash{}, err
	}
	h.mark = markOf(encoded)
	return h, nil
}

// markOf is a mark of what changes with a password.
func markOf(credential string) string {
	sum := sha256.Sum256([]byte(credential))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
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

// Matches says whether the hash is of a password.
func (h Hash) Matches(password string) (bool, error) {
	return h.compare([]byte(h.encoded), []byte(password))
}

// decoy is a hash of the same cost that no password has.
func (h Hash) decoy() Hash {
	cut := len("$2a$14$") + 22
	if strings.HasPrefix(h.class, "argon2id") {
		cut = strings.LastIndexByte(h.encoded, '$') + 1
	}
	h.encoded = h.encoded[:cut] + strings.Repeat("A", len(h.encoded)-cut)
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
