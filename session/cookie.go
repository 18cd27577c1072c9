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

	// longestValue bounds the length of a value, in bytes. No browser keeps a longer
	// one.
	longestValue = 4096
)

// A Cookie is the name and the attributes of one of the project's cookies. All are
// HttpOnly, with path "/" and without a domain.
type Cookie struct {
	Name   string
	Secure bool

	// SameSite may be changed after NewCookie. The zero value is
	// http.SameSiteLaxMode.
	SameSite http.SameSite
}

// NewCookie returns the cookie of a kind ("session", "site", …; lower-case letters)
// for a registered URL, which is the issuer or a redirect URI, and a client. Its name
// has a hash of both, since cookies ignore ports. If the URL is https, the cookie is
// Secure and its name begins with "__Host-". Only the URL decides that, never the
// request: another server may have terminated TLS.
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

// origin returns the canonical spelling of an origin.
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

// Value returns the value of the request's cookie of that name. It returns false
// without such a cookie, and with several that differ, since any of them may be
// forged. Values over 4096 bytes are ignored.
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

// Set sends the cookie. With a maxAge of zero or less it is a session cookie, which
// the browser drops when it closes.
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

// Own reports whether a cookie name is one of the project's: of any kind and hash,
// with or without "__Host-".
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

// HasOwn reports whether the lines of a Cookie header have any of the project's
// cookies.
func HasOwn(lines []string) bool { return slices.ContainsFunc(lines, hasOwn) }

// StripOwn removes the project's cookies from the header of a request to a backend.
// It leaves every other byte of the Cookie header as it is, and removes an empty
// header.
func StripOwn(h http.Header) {
	lines := h["Cookie"]
	first := 0
	for first < len(lines) && !hasOwn(lines[first]) {
		first++
	}
	if first == len(lines) {
		return
	}
	// A new slice, since others may use the old one.
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
		return false // most cookies belong to other programs
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

// withoutOwn removes the project's cookies from a line. It returns "" if no other
// cookie is left.
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
			// The new first cookie had a separator before it.
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

// trimLeft and trimRight trim what net/http trims around a cookie's name. The
// functions of package strings build a set of characters first, which costs most of
// the time here, several times a request.
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
