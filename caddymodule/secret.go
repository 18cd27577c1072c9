package caddymodule

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// readSecret is the one place that reads a secret of the configuration. It replaces
// the placeholders. Of each, and of a secret without any, it takes one line end away,
// as an editor or `echo` leaves it. It refuses whatever else surrounds a secret and
// cannot be seen: that is a mistake on one of two sides, which would fail only when
// somebody signs in. No error of it holds a part of the secret.
func readSecret(setting string) (string, error) {
	literal := true
	secret, err := caddy.NewReplacer().ReplaceFunc(setting, func(name string, value any) (any, error) {
		literal = false
		text, err := placeholderText(name, value)
		if err != nil {
			return nil, err
		}
		return text, checkSurroundings("what {"+name+"} stands for", text)
	})
	if err != nil {
		return "", err
	}
	if literal {
		secret = withoutLineEnd(secret)
	}
	return secret, checkSurroundings("the secret", secret)
}

// replaced replaces the placeholders of a setting that is no secret.
func replaced(setting string) (string, error) {
	return caddy.NewReplacer().ReplaceFunc(setting, func(name string, value any) (any, error) {
		if _, err := placeholderText(name, value); err != nil {
			return nil, err
		}
		return value, nil
	})
}

// placeholderText is what a placeholder stands for, without one line end.
func placeholderText(name string, value any) (string, error) {
	isFile := strings.HasPrefix(name, "file.")
	if value == nil && !isFile {
		return "", fmt.Errorf("unrecognized placeholder {%s}", name)
	}
	text := caddy.ToString(value)
	if !isFile { // Caddy has taken the line end of a file away
		text = withoutLineEnd(text)
	}
	if text == "" && isFile {
		return "", fmt.Errorf("placeholder {%s}: the file is empty or cannot be read", name)
	}
	if text == "" {
		return "", fmt.Errorf("placeholder {%s} is empty; is it set for the process of Caddy?", name)
	}
	return text, nil
}

func withoutLineEnd(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
}

// checkSurroundings refuses a secret that begins or ends with what cannot be seen. The
// error names it as what.
func checkSurroundings(what, secret string) error {
	first, _ := utf8.DecodeRuneInString(secret)
	last, _ := utf8.DecodeLastRuneInString(secret)
	switch {
	case strings.HasPrefix(secret, "\xff\xfe"), strings.HasPrefix(secret, "\xfe\xff"):
		return fmt.Errorf("%s is UTF-16, as PowerShell and some editors write it; save it as UTF-8", what)
	case first == '\ufeff':
		return fmt.Errorf("%s begins with a byte order mark; save it as UTF-8 without one", what)
	case isInvisible(first):
		return fmt.Errorf("%s begins with %s; remove it", what, described(first))
	case isInvisible(last):
		return fmt.Errorf("%s ends with %s; remove it", what, described(last))
	}
	return nil
}

// isInvisible says whether a character is a blank, a line end, or shows nothing.
func isInvisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

func described(r rune) string {
	switch r {
	case ' ', '\t':
		return "a blank"
	case '\n', '\r':
		return "a line end"
	}
	return fmt.Sprintf("the character %U, which cannot be seen", r)
}

// secretOption reads an option with one argument that is a secret. What placeholders
// in it stand for is not known yet.
func secretOption(d *caddyfile.Dispenser, to *string) error {
	name := d.Val()
	if err := replacedArg(d, to); err != nil {
		return err
	}
	if d.NextArg() {
		return d.Errf("%s: expected one value; a secret with blanks in it stands in quotes", name)
	}
	if err := checkWrittenSecret(*to); err != nil {
		return d.Errf("%s: %v", name, err)
	}
	return nil
}

// checkWrittenSecret checks a secret that stands in the Caddyfile itself.
func checkWrittenSecret(s string) error {
	if hasPlaceholder(s) {
		return nil
	}
	_, err := readSecret(s)
	return err
}
