// Package username compares and shows user names and e-mail addresses (RFC 8265).
package username

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// Printable returns a name if it may be shown and logged, and "" if it is too long or has
// control characters.
func Printable(name string) string {
	if len(name) > 256 || !oauth.CleanText(name) {
		return ""
	}
	return name
}

// MaxName is the most bytes that a user name has.
const MaxName = 256

// Canonical returns the form in which user names are compared (RFC 8265 section
// 3.3, UsernameCaseMapped).
func Canonical(name string) (string, error) {
	if name == "" {
		return "", errors.New("it is empty")
	}
	if len(name) > MaxName {
		return "", fmt.Errorf("longer than %d bytes", MaxName)
	}
	c, err := precis.UsernameCaseMapped.CompareKey(name)
	if err != nil {
		return "", errNoName // what PRECIS calls it tells people nothing
	}
	return c, nil
}

var errNoName = errors.New("expected letters of one script, digits and ASCII punctuation, without spaces, symbols and what cannot be seen")

// CanonicalEmail returns the form in which e-mail addresses are compared. An address with
// two @ is an error, because one program would go by the first and another by the last.
func CanonicalEmail(email string) (string, error) {
	name, domain, found := strings.Cut(email, "@")
	if !found || name == "" || domain == "" || strings.Contains(domain, "@") ||
		strings.ContainsAny(email, " \t,;<>\"'()\\") || !oauth.CleanText(email) || !Visible(email) || len(email) > 254 {
		return "", fmt.Errorf("e-mail %q is no address such as player@game.example", email)
	}
	return oauth.LowerASCII(email), nil
}

// PrintableASCII reports whether a text has only ASCII characters that can be seen.
func PrintableASCII(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// Spelled returns the same form for all spellings of a name, or an e-mail address, that
// belong to one local account. It depends only on what was typed.
func Spelled(name string) string {
	name = strings.TrimSpace(name)
	name = Compatible(name[:min(len(name), MaxName)])
	if c, err := Canonical(name); err == nil {
		return c
	}
	return norm.NFKC.String(cases.Fold().String(name)) // no name, but it may be an e-mail address
}
