package subjects

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/caddy-sso/caddy-sso/session"
)

// HasMark reports whether a user signed in by the method with this mark. Any user did
// if the mark is empty. An ID may have been the method of another customer before.
// For a user of another method, to whom this one leads, the marks are compared where
// both are known.
func HasMark(u session.User, mark string) bool {
	return mark == "" || u.Linked != "" || u.Mark == mark
}

// MarkOf is a mark of what changes with a password.
func MarkOf(credential string) string {
	sum := sha256.Sum256([]byte(credential))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
