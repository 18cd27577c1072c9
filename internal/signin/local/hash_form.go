package local

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// otherHashes matches the prefixes of other hashes.
var otherHashes = regexp.MustCompile(`^(\$(1|5|6|7|y|gy|apr1|sha1|md5|argon2i|argon2d|scrypt|pbkdf2[a-z0-9-]*)\$|\{[A-Z0-9-]+\}|(pbkdf2|scrypt|bcrypt|argon2)[a-z0-9_]*[$:])`)

// notAHash describes a text that is no hash, only by its form. The error contains no
// part of the text.
func notAHash(text string) error {
	decoded, err := base64.StdEncoding.DecodeString(text)
	inBase64 := err == nil && (strings.HasPrefix(string(decoded), "$2") || strings.HasPrefix(string(decoded), "$argon2id$"))
	_, err = hex.DecodeString(text)
	inHex := err == nil && len(text) >= 32
	var what string
	switch {
	case strings.Contains(text, "$$"):
		return fmt.Errorf("%w; this one has $$, as files of Docker Compose have it: write every $ once", errNoHash)
	case inBase64:
		return fmt.Errorf("%w; this one is in Base64, as Caddy had hashes before 2.10: write what it decodes to", errNoHash)
	case strings.HasPrefix(text, "$2"):
		what = "looks like bcrypt, but is not whole (60 characters), or was changed"
	case strings.HasPrefix(text, "$argon2id$"):
		what = "looks like argon2id, but is not whole, or was changed"
	case otherHashes.MatchString(text), inHex:
		what = "is a hash of another kind, from which none of these can be made: the password has to be hashed again"
	default:
		return errNoHash
	}
	return fmt.Errorf("%w; this one %s", errNoHash, what)
}
