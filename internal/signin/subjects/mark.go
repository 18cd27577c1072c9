package subjects

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/caddy-sso/caddy-sso/session"
)

// HasMark says whether a user signed in by a way with this mark, where it has one: an
// ID may have been another customer's way before. Whether a user of another way, to
// whom this one leads, has is seen where both are known.
func HasMark(u session.User, mark string) bool {
	return mark == "" || u.Linked != "" || u.Mark == mark
}

// MarkOf is a mark of what changes with a password.
func MarkOf(credential string) string {
	sum := sha256.Sum256([]byte(credential))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
