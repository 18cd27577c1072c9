package session

import (
	"strings"
	"unicode/utf8"
)

// The bounds of the claims of a user.
const (
	MaxClaims    = 16      // claims of a user that gates name
	MaxClaimName = 128     // bytes of a name
	MaxClaimSize = 4 << 10 // bytes of all names and values of a user
)

// Names of two sets of a user that have fields of their own. In [Claims] they have no
// values. They are there only if they could not be read in full.
const (
	ClaimEmail  = "email"
	ClaimGroups = "groups"
)

// Claims are what the provider of a sign-in said about a user, beside the fields of
// [User]: only the claims that gates name, each with its values. The zero value has no
// claim. Claims are immutable, comparable with ==, and reading them allocates nothing.
//
// A claim is in one of three states. It was read: the provider stated these values, or
// none. It could not be read in full: the provider did not answer, the claim has a
// form that is no list of texts, or it is over a bound. Or it was never asked for,
// because the session is older than the rule that names it. Rules that deny a user
// treat the last two alike.
type Claims struct{ packed string }

// maxEntries is the most claims of a user, with [ClaimEmail] and [ClaimGroups].
const maxEntries = MaxClaims + 2

// The packed form is a list of claims. Each begins with claimRead or claimUnread and
// its name; then come the values, each after a claimValue.
const (
	claimRead   = '\x01'
	claimUnread = '\x02'
	claimValue  = '\x03'
)

// With returns the claims with one more claim that was read. If a name or a value
// cannot be kept, or a bound is exceeded, the claim counts as one that could not be
// read. An existing claim of that name is replaced.
func (c Claims) With(name string, values ...string) Claims {
	size := 1 + len(name)
	for _, v := range values {
		if !keptText(v) {
			return c.Without(name)
		}
		size += 1 + len(v)
	}
	c = c.dropped(name)
	if !keptClaim(name) || c.Len() >= maxEntries || len(c.packed)+size > MaxClaimSize {
		return c.Without(name)
	}
	var b strings.Builder
	b.Grow(len(c.packed) + size)
	b.WriteString(c.packed)
	b.WriteByte(claimRead)
	b.WriteString(name)
	for _, v := range values {
		b.WriteByte(claimValue)
		b.WriteString(v)
	}
	return Claims{b.String()}
}

// Without returns the claims with a claim that could not be read in full. A claim for
// which there is no room is left out, which means the same to its readers.
func (c Claims) Without(name string) Claims {
	c = c.dropped(name)
	if !keptClaim(name) || c.Len() >= maxEntries || len(c.packed)+1+len(name) > MaxClaimSize {
		return c
	}
	return Claims{c.packed + string(claimUnread) + name}
}

// Has reports whether a claim has a value, and whether the claim was read.
func (c Claims) Has(name, value string) (has, read bool) {
	values, read := c.find(name)
	for rest := values; rest != ""; {
		var v string
		v, rest = nextValue(rest)
		if v == value {
			return true, read
		}
	}
	return false, read
}

// Values returns the values of a claim, and whether it was read.
func (c Claims) Values(name string) (values []string, read bool) {
	rest, read := c.find(name)
	for rest != "" {
		var v string
		v, rest = nextValue(rest)
		values = append(values, v)
	}
	return values, read
}

// First returns the first value of a claim, and whether the claim has others; "": it
// has none, or was not read. It allocates nothing.
func (c Claims) First(name string) (value string, more bool) {
	values, _ := c.find(name)
	if values == "" {
		return "", false
	}
	value, rest := nextValue(values)
	return value, rest != ""
}

// Unread reports whether a claim is among those that could not be read in full. A claim
// that was never asked for is not.
func (c Claims) Unread(name string) bool {
	for rest := c.packed; rest != ""; {
		kind, n, _, after := nextClaim(rest)
		if n == name {
			return kind == claimUnread
		}
		rest = after
	}
	return false
}

// Len returns how many claims there are, read or not.
func (c Claims) Len() int {
	n := 0
	for i := range len(c.packed) {
		if c.packed[i] == claimRead || c.packed[i] == claimUnread {
			n++
		}
	}
	return n
}

// find returns the packed values of a claim, and whether it was read.
func (c Claims) find(name string) (values string, read bool) {
	for rest := c.packed; rest != ""; {
		kind, n, values, after := nextClaim(rest)
		if n == name {
			return values, kind == claimRead
		}
		rest = after
	}
	return "", false
}

// dropped returns the claims without any of a name.
func (c Claims) dropped(name string) Claims {
	for at := 0; at < len(c.packed); {
		_, n, _, after := nextClaim(c.packed[at:])
		end := len(c.packed) - len(after)
		if n == name {
			return Claims{c.packed[:at] + after}
		}
		at = end
	}
	return c
}

// nextClaim splits the first claim from packed claims.
func nextClaim(packed string) (kind byte, name, values, rest string) {
	end := 1
	for end < len(packed) && packed[end] != claimRead && packed[end] != claimUnread {
		end++
	}
	claim, rest := packed[1:end], packed[end:]
	if at := strings.IndexByte(claim, claimValue); at >= 0 {
		return packed[0], claim[:at], claim[at:], rest
	}
	return packed[0], claim, "", rest
}

// nextValue splits the first value from packed values.
func nextValue(values string) (value, rest string) {
	values = values[1:]
	if at := strings.IndexByte(values, claimValue); at >= 0 {
		return values[:at], values[at:]
	}
	return values, ""
}

// parseClaims reads stored claims. Damaged ones are read as none, so that they count as
// claims that were never asked for.
func parseClaims(packed string) Claims {
	c := Claims{packed}
	if packed == "" || len(packed) > MaxClaimSize || !utf8.ValidString(packed) || c.Len() > maxEntries ||
		packed[0] != claimRead && packed[0] != claimUnread {
		return Claims{}
	}
	return c
}

// keptClaim reports whether a name can be that of a claim.
func keptClaim(name string) bool { return name != "" && len(name) <= MaxClaimName && keptText(name) }

// keptText reports whether a text has no character with a meaning in the packed form,
// nor one that no header, log or page could hold.
func keptText(text string) bool { return whole(text, MaxClaimSize) == text }
