package session

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	hostPrefix   = "__Host-"
	cookiePrefix = "caddy_sso_"
	hashLength   = 8

	// longestValue bounds the values that are looked at: no browser keeps
	// longer ones.
	longestValue = 4096
)

// A Cookie is the name and the attributes of one of the project's cookies. All
// are HttpOnly, with path "/" and no domain.
type Cookie struct {
	Name   string
	Secure bool

	// SameSite may be set to another value than that of NewCookie. The zero
	// value is http.SameSiteLaxMode.
	SameSite http.SameSite
}

// NewCookie returns the cookie of a kind ("session", "site", …; lower-case
// letters) that belongs to a registered URL, the issuer or a redirect URI, and
// a client. Its name carries a hash of both, since cookies ignore ports. Where
// the URL is https the cookie is Secure and its name begins with "__Host-".
// The URL alone decides that, never the request: TLS may have ended elsewhere.
func NewCookie(kind string, registered *url.URL, client string) Cookie {
	scheme := strings.ToLower(registered.Scheme)
	hash := sha256.Sum256([]byte(origin(scheme, registered.Host) + "\x00" + client))
	c := Cookie{
		Name:     cookiePrefix + kind + "_" + hex.EncodeToString(hash[:])[:hashLength],
		Secure:   scheme == "https",
		SameSite: http.SameSiteLaxMode,
	}
	if c.Secure {
		c.Name = hostPrefix + c.Name
	}
	return c
}

// origin spells one origin one way.
func origin(scheme, host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ":")
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + host
}

// Value returns the value of the request's cookie of that name. Without one,
// or with several that differ, of which any may be forged, it returns false.
// Values over 4096 bytes are ignored.
func (c Cookie) Value(r *http.Request) (string, bool) { return c.In(r.Header["Cookie"]) }

// In is Value for the lines of a Cookie header.
func (c Cookie) In(lines []string) (string, bool) {
	value, found := "", false
	for _, line := range lines {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			name, v, ok := strings.Cut(trimRight(trimLeft(part)), "=")
			if !ok || trimRight(name) != c.Name {
				continue
			}
			if len(v) > longestValue {
				continue
			}
			if found && v != value {
				return "", false
			}
			value, found = v, true
		}
	}
	return value, found
}

// Set sends the cookie. With a maxAge of zero or less it lasts as long as the
// browser runs.
func (c Cookie) Set(w http.ResponseWriter, value string, maxAge time.Duration) {
	seconds := 0
	if maxAge > 0 {
		seconds = max(int(maxAge/time.Second), 1)
	}
	c.send(w, value, seconds)
}

// Clear removes the cookie from the browser.
func (c Cookie) Clear(w http.ResponseWriter) { c.send(w, "", -1) }

func (c Cookie) send(w http.ResponseWriter, value string, maxAge int) {
	sameSite := c.SameSite
	if sameSite == 0 {
		sameSite = http.SameSiteLaxMode
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure follows the registered URL; plain http is loopback
		Name: c.Name, Value: value, MaxAge: maxAge,
		Path: "/", HttpOnly: true, Secure: c.Secure, SameSite: sameSite,
	})
}

// Own says whether a cookie of that name is one of the project's: of any kind
// and hash, with or without "__Host-".
func Own(name string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, hostPrefix), cookiePrefix)
	if !ok {
		return false
	}
	kind, hash, ok := strings.Cut(rest, "_")
	if !ok || kind == "" || len(hash) != hashLength {
		return false
	}
	for i := range len(kind) {
		if kind[i] < 'a' || kind[i] > 'z' {
			return false
		}
	}
	for i := range len(hash) {
		if (hash[i] < '0' || hash[i] > '9') && (hash[i] < 'a' || hash[i] > 'f') {
			return false
		}
	}
	return true
}

// HasOwn says whether any of the project's cookies is in the lines of a Cookie
// header.
func HasOwn(lines []string) bool { return slices.ContainsFunc(lines, hasOwn) }

// StripOwn removes the project's own cookies from a request's header, which
// is about to go to a backend. It leaves every other byte of the Cookie
// header as it is, and drops the header when nothing is left.
func StripOwn(h http.Header) {
	lines := h["Cookie"]
	first := 0
	for first < len(lines) && !hasOwn(lines[first]) {
		first++
	}
	if first == len(lines) {
		return
	}
	// A new slice: others may hold the old one.
	kept := append(make([]string, 0, len(lines)), lines[:first]...)
	for _, line := range lines[first:] {
		if !hasOwn(line) {
			kept = append(kept, line)
		} else if line = withoutOwn(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

func ownPart(part string) bool {
	part = trimLeft(part)
	if !strings.HasPrefix(part, hostPrefix) && !strings.HasPrefix(part, cookiePrefix) {
		return false // most cookies are others'
	}
	name, _, _ := strings.Cut(part, "=")
	return Own(trimRight(name))
}

func hasOwn(line string) bool {
	for line != "" {
		var part string
		part, line, _ = strings.Cut(line, ";")
		if ownPart(part) {
			return true
		}
	}
	return false
}

// withoutOwn returns a line that holds cookies of ours without them, and ""
// when no other cookie was in it.
func withoutOwn(line string) string {
	var b strings.Builder
	b.Grow(len(line))
	others, removed, written := false, false, false
	for part := range strings.SplitSeq(line, ";") {
		if ownPart(part) {
			removed = true
			continue
		}
		switch {
		case written:
			b.WriteByte(';')
		case removed:
			// What now comes first had a separator before it.
			part = trimLeft(part)
		}
		b.WriteString(part)
		written = true
		others = others || trimLeft(part) != ""
	}
	if !others {
		return ""
	}
	return b.String()
}

// trimLeft and trimRight take away what net/http trims around a cookie's name.
// Those of strings make a set of the characters first, which is most of what
// they cost here, several times a request.
func trimLeft(s string) string {
	for s != "" && space(s[0]) {
		s = s[1:]
	}
	return s
}

func trimRight(s string) string {
	for s != "" && space(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
