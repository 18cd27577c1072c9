// Package secrets reads secrets of the configuration, and the placeholders in them.
// Its errors contain no part of a secret.
package secrets

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
)

// Read is the only function that reads a secret of the configuration. It replaces the
// placeholders. It removes one line end from the value of each, or from a secret
// without any, since an editor or `echo` adds one. It refuses any other invisible
// character around a secret: that is a mistake, which would be noticed only when a
// user signs in. Its errors contain no part of the secret.
func Read(setting string) (string, error) {
	literal := true
	secret, err := caddy.NewReplacer().ReplaceFunc(setting, func(name string, value any) (any, error) {
		literal = false
		text, err := placeholderText(name, value)
		if err != nil {
			return nil, err
		}
		return text, CheckSurroundings("what {"+name+"} stands for", text)
	})
	if err != nil {
		return "", err
	}
	if literal {
		secret = TrimLineEnd(secret)
	}
	return secret, CheckSurroundings("the secret", secret)
}

// Replace replaces the placeholders of a setting that is no secret.
func Replace(setting string) (string, error) {
	return caddy.NewReplacer().ReplaceFunc(setting, func(name string, value any) (any, error) {
		if _, err := placeholderText(name, value); err != nil {
			return nil, err
		}
		return value, nil
	})
}

// placeholderText returns the value of a placeholder, without one line end.
func placeholderText(name string, value any) (string, error) {
	isFile := strings.HasPrefix(name, "file.")
	if value == nil && !isFile {
		return "", fmt.Errorf("unrecognized placeholder {%s}", name)
	}
	text := caddy.ToString(value)
	if !isFile { // Caddy has taken the line end of a file away
		text = TrimLineEnd(text)
	}
	if text == "" && isFile {
		return "", fmt.Errorf("placeholder {%s}: the file is empty or cannot be read", name)
	}
	if text == "" {
		return "", fmt.Errorf("placeholder {%s} is empty; is it set for the process of Caddy?", name)
	}
	return text, nil
}

// TrimLineEnd removes one line end.
func TrimLineEnd(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
}

// CheckSurroundings refuses a secret that begins or ends with an invisible character.
// The error calls it what.
func CheckSurroundings(what, secret string) error {
	first, _ := utf8.DecodeRuneInString(secret)
	last, _ := utf8.DecodeLastRuneInString(secret)
	switch {
	case strings.HasPrefix(secret, "\xff\xfe"), strings.HasPrefix(secret, "\xfe\xff"):
		return fmt.Errorf("%s is UTF-16, as PowerShell and some editors write it; save it as UTF-8", what)
	case first == '\ufeff':
		return fmt.Errorf("%s begins with a byte order mark; save it as UTF-8 without one", what)
	case isInvisible(first):
		return fmt.Errorf("%s begins with %s; remove it", what, describeRune(first))
	case isInvisible(last):
		return fmt.Errorf("%s ends with %s; remove it", what, describeRune(last))
	}
	return nil
}

// isInvisible reports whether a character is a space, a line end, or invisible.
func isInvisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

func describeRune(r rune) string {
	switch r {
	case ' ', '\t':
		return "a blank"
	case '\n', '\r':
		return "a line end"
	}
	return fmt.Sprintf("the character %U, which cannot be seen", r)
}

// CheckWritten checks a secret that is written in the Caddyfile itself.
func CheckWritten(s string) error {
	if HasPlaceholder(s) {
		return nil
	}
	_, err := Read(s)
	return err
}

// HasPlaceholder reports whether a setting has a placeholder. Its value is known only
// when the server runs.
func HasPlaceholder(s string) bool { return strings.Contains(s, "{") }

// Checkable returns a secret for checks of a Caddyfile, before the values of
// placeholders are known.
func Checkable(secret string) string {
	if HasPlaceholder(secret) {
		return "a placeholder stands for it"
	}
	return secret
}
