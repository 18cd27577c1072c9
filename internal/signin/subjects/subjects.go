// Package subjects makes and checks the subjects of users. A subject is derived from the
// method and its ID of the user (a UUID of version 5), or it is that ID itself.
package subjects

import (
	"crypto/sha1" //nolint:gosec // UUIDv5 is defined over SHA-1 (RFC 9562 section 5.5); nothing secret is hashed
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/signin/username"
)

// Naming defines how the users of a method get their subjects.
type Naming struct {
	Own bool // the ID is the subject

	// Subjects are derived from these and the ID.
	Kind, Within string
}

// OwnSubjects implements [signin.SubjectNamer].
func (s Naming) OwnSubjects() bool { return s.Own }

// Derived implements [signin.SubjectNamer].
func (s Naming) Derived(id string) string { return Derive(s.Kind, s.Within+"\x00"+id) }

// Of returns the subject of the user with an ID.
func (s Naming) Of(id string) string {
	if s.Own {
		return id
	}
	return s.Derived(id)
}

// Errors of a subject that a method returned. An own subject never has the form of a
// derived one, so it can never be the subject of a user of another method.
var (
	errSubjectText    = errors.New("it is not 1 to 255 printable ASCII characters without spaces")
	errSubjectDerived = errors.New("it is a UUID of version 5, as the portal derives them for users of other sign-in methods")
)

// CheckOwn returns an error if a subject is not valid by itself.
func CheckOwn(subject string) error {
	if subject == "" || len(subject) > MaxLength || !username.PrintableASCII(subject) {
		return errSubjectText
	}
	if IsDerived(UUID(subject)) {
		return errSubjectDerived
	}
	return nil
}

// UUID returns a UUID as the portal writes it, and any other text in lower case.
func UUID(text string) string {
	text = strings.TrimPrefix(strings.ToLower(text), "urn:uuid:")
	return strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
}

// Hyphened returns a UUID with its hyphens, which many programs leave out, and any other
// text as it is.
func Hyphened(text string) string {
	if len(text) != 32 {
		return text
	}
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// IsDerived reports whether a subject has the form of those of [Derive]: a UUID of
// version 5. IDs of 32 digits without hyphens do not count: many are hashes, and some
// of them would look like a UUID.
func IsDerived(subject string) bool {
	if len(subject) != 36 || subject[14] != '5' || subject[19] != '8' && subject[19] != '9' && subject[19] != 'a' && subject[19] != 'b' {
		return false
	}
	for i := range len(subject) {
		c := subject[i]
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		digit := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if hyphen != (c == '-') || hyphen == digit {
			return false
		}
	}
	return true
}

// subjectNamespace is the UUID of this project's namespace (RFC 9562 section
// 6.6), made at random once. Subjects do not depend on the issuer, so that they
// stay the same when the portal moves to another domain.
var subjectNamespace = [16]byte{0x4c, 0x1d, 0x8e, 0x0a, 0x6b, 0x2f, 0x4d, 0x33, 0x9a, 0x57, 0xe1, 0xc0, 0x73, 0x18, 0xbd, 0x26}

// Derive returns the UUID of version 5 (RFC 9562 section 5.5) of a name at a method.
func Derive(method, name string) string {
	h := sha1.New() //nolint:gosec // see the import
	h.Write(subjectNamespace[:])
	h.Write([]byte(method + "\x00" + name))
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// MaxLength is the most bytes that a subject has (OpenID Connect Core section 2).
const MaxLength = 255
