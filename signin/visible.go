package signin

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// invisible says whether a character shows nothing, or changes how others are
// shown: what Unicode calls default-ignorable, and all of format, of which the
// controls of direction are some.
func invisible(r rune) bool {
	return r > unicode.MaxASCII && unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// visible says whether all characters of a name are. A name with others may look
// like that of somebody else.
func visible(name string) bool { return !strings.ContainsFunc(name, invisible) }

// plain is a name without what cannot be seen.
func plain(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, name))
}

// compatible is a plain name in which a letter has one form, where Unicode has
// several of it: wide, raised, or joined to another.
func compatible(name string) string { return plain(norm.NFKC.String(plain(name))) }
