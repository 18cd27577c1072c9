package username

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// invisible reports whether a character is invisible, or changes how others are
// shown. These are the default-ignorable and format characters of Unicode, including
// the controls of direction; the separators of lines, paragraphs and words, except
// the plain space; and the blank of Braille.
func invisible(r rune) bool {
	return r > unicode.MaxASCII && (r == '\u2800' ||
		unicode.In(r, unicode.Z, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// Spaced returns a name in which every kind of space is a plain space. Some scripts have
// other spaces between the names of a person.
func Spaced(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, name))
}

// Visible reports whether all characters of a name are visible. A name with invisible
// characters may look like the name of another user.
func Visible(name string) bool { return !strings.ContainsFunc(name, invisible) }

// plain returns a name without the characters that cannot be seen.
func plain(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, name))
}

// Compatible returns a name in which each letter has one form. Unicode has several of
// some: wide, raised, or joined to another.
func Compatible(name string) string { return plain(norm.NFKC.String(plain(name))) }
