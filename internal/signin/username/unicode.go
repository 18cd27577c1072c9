package username

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// invisible says whether a character shows nothing, or changes how others are
// shown: what Unicode calls default-ignorable, and all of format, of which the
// controls of direction are some; and separators of lines, paragraphs and words but
// for the plain space, with the blank of Braille, which is none of these.
func invisible(r rune) bool {
	return r > unicode.MaxASCII && (r == '\u2800' ||
		unicode.In(r, unicode.Z, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// Spaced is a name in which spaces of any kind are plain ones, as some scripts have
// others between the names of a person.
func Spaced(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, name))
}

// Visible says whether all characters of a name are. A name with others may look
// like that of somebody else.
func Visible(name string) bool { return !strings.ContainsFunc(name, invisible) }

// plain is a name without what cannot be seen.
func plain(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, name))
}

// Compatible is a plain name in which a letter has one form, where Unicode has
// several of it: wide, raised, or joined to another.
func Compatible(name string) string { return plain(norm.NFKC.String(plain(name))) }
