package subjects

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/caddy-sso/caddy-sso/session"
)

// HasMark reports whether a user signed in by the method with this mark. It is true
// for every user if the mark is empty. Before, the ID may have been that of another
// customer's method. For a linked user of another method, the marks are compared if
// both are known.
func HasMark(u session.User, mark string) bool {
	return mark == "" || u.Linked != "" || u.Mark == mark
}

// MarkOf returns the mark of a credential. It changes with the password.
func MarkOf(credential string) string {
	sum := sha256.Sum256([]byte(credential))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
