package oauth

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A RedirectURI is a registered redirect URI.
type RedirectURI struct {
	// Raw is the registered URI. Requests must have the same bytes, except for the
	// port if Loopback is true.
	Raw string

	// URL is Raw, parsed.
	URL *url.URL

	// Loopback means that any port matches, since an application listens on a port
	// that the system chose: the host is 127.0.0.1 or [::1] over http (RFC 8252
	// section 7.3), or localhost if that is registered without a port.
	Loopback bool

	// for Loopback: the text before and after the port
	before, after string
}

// forbiddenSchemes run or read something instead of passing the code on.
var forbiddenSchemes = []string{"javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "ws", "wss", "ftp"}

// ParseRedirectURI parses a URI to register. The error has the remedy.
func ParseRedirectURI(raw string) (RedirectURI, error) {
	u, err := parseRegistered(raw)
	if err != nil {
		return RedirectURI{}, fmt.Errorf("redirect_uri %q: %w", raw, err)
	}
	r := RedirectURI{Raw: raw, URL: u}
	switch u.Scheme {
	case "https":
	case "http":
		if !IsLoopbackHost(u.Hostname()) {
			return RedirectURI{}, fmt.Errorf("redirect_uri %q: http is for loopback only (localhost, 127.0.0.1, [::1]); use https", raw)
		}
		if host := u.Hostname(); host == "127.0.0.1" || host == "::1" || strings.EqualFold(u.Host, "localhost") {
			r.Loopback = true
			r.before = "http://" + strings.TrimSuffix(u.Host, portSuffix(u))
			r.after = strings.TrimPrefix(raw[len("http://"):], u.Host)
		}
	default:
		if slices.Contains(forbiddenSchemes, u.Scheme) {
			return RedirectURI{}, fmt.Errorf("redirect_uri %q: the scheme %q cannot take a code; use https, http on loopback, or a scheme of your application's own", raw, u.Scheme)
		}
	}
	return r, nil
}

// ParsePostLogoutRedirectURI parses a URI to register for the end of a sign-out.
func ParsePostLogoutRedirectURI(raw string) (RedirectURI, error) {
	r, err := ParseRedirectURI(raw)
	if err != nil {
		return r, fmt.Errorf("post_logout_%w", err)
	}
	return r, nil
}

func portSuffix(u *url.URL) string {
	if p := u.Port(); p != "" {
		return ":" + p
	}
	return ""
}

// Matches reports whether a requested URI is this one: byte for byte, or, if Loopback
// is true, except for the port.
func (r RedirectURI) Matches(requested string) bool {
	if requested == r.Raw {
		return true
	}
	if !r.Loopback {
		return false
	}
	rest, ok := strings.CutPrefix(requested, r.before)
	if !ok {
		return false
	}
	if port, found := strings.CutPrefix(rest, ":"); found {
		digits := 0
		for digits < len(port) && port[digits] >= '0' && port[digits] <= '9' {
			digits++
		}
		if !validPort(port[:digits]) {
			return false
		}
		rest = port[digits:]
	}
	return rest == r.after
}

// Origin returns the web origin of a registered URI, or "" if it has no usable
// origin: a custom scheme, or a loopback address with any port. http://localhost also
// has the origin of a site on port 80, which may have a gate.
func (r RedirectURI) Origin() string {
	site := !r.Loopback || strings.EqualFold(r.URL.Host, "localhost")
	if !site || (r.URL.Scheme != "https" && r.URL.Scheme != "http") {
		return ""
	}
	return OriginOf(r.URL)
}

// OriginOfRequested is the origin of a requested URI that matches r. It is "" if the
// port differs from the registered one, since another program may listen there.
func (r RedirectURI) OriginOfRequested(requested string) string {
	if requested != r.Raw {
		return ""
	}
	return r.Origin()
}

// OriginOf returns scheme, host and port as browsers write an origin (RFC 6454
// section 6.2): lower case, without the default port.
func OriginOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host
}

// IsLoopbackHost reports whether a host name can only be this machine.
func IsLoopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// KeepsSecrets reports whether only the host can read what this server sends to a
// URL: over https, or on loopback.
func KeepsSecrets(u *url.URL) bool {
	return u.Scheme == "https" || (u.Scheme == "http" && IsLoopbackHost(u.Hostname()))
}

// neverInURLs are ASCII characters that a URL never has unescaped.
const neverInURLs = " \\\"<>^`{|}"

// parseAbsolute parses an absolute URL. It refuses a URL whose host two parsers could
// read differently.
func parseAbsolute(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("is empty; expected an absolute URL such as https://game.example/callback")
	}
	if !isASCIIText(raw) || strings.ContainsAny(raw, neverInURLs) {
		return nil, errors.New("has characters that no URL has; percent-encode them")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	if !u.IsAbs() {
		return nil, errors.New("is not absolute; begin it with https:// (or http:// on loopback, or your application's scheme)")
	}
	if strings.Contains(raw, "#") {
		return nil, errors.New("has a fragment, which codes cannot be sent to (RFC 6749 section 3.1.2); leave out the part from # on")
	}
	if u.User != nil {
		return nil, errors.New("has user information before the host; leave out the part up to @")
	}
	if (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() == "" {
		return nil, errors.New("has no host")
	}
	if !isASCIIText(u.Host) {
		return nil, errors.New("has a percent-encoded host; write it in ASCII (xn--…)")
	}
	if _, port, found := strings.Cut(u.Host[strings.LastIndex(u.Host, "]")+1:], ":"); found && !validPort(port) {
		return nil, errors.New("has an empty or impossible port; expected 1 to 65535, or none and no colon")
	}
	return u, nil
}

// validPort reports whether s is a port in its usual spelling.
func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

// CleanText reports whether s is valid UTF-8 without control characters.
func CleanText(s string) bool {
	if isASCIIText(s) {
		return true
	}
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}

func isASCIIText(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// LowerASCII is the form in which e-mail addresses are compared. Non-ASCII letters
// stay: the lower case of some is ASCII, so another user's address would become
// equal.
func LowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// A FailAuthURL is a registered URL for browsers without a session: one URL, or, if
// it was registered without a path, every URL of an origin.
type FailAuthURL struct {
	Raw    string
	URL    *url.URL
	origin bool
}

// ParseFailAuthURL parses a URL to register.
func ParseFailAuthURL(raw string) (FailAuthURL, error) {
	u, err := parseRegistered(raw)
	if errors.Is(err, errWildcard) {
		err = fmt.Errorf("%w; one without a path stands for its whole origin", err)
	}
	if err != nil {
		return FailAuthURL{}, fmt.Errorf("fail_auth_url %q: %w", raw, err)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !IsLoopbackHost(u.Hostname())) {
		return FailAuthURL{}, fmt.Errorf("fail_auth_url %q: expected https, or http on loopback", raw)
	}
	return FailAuthURL{Raw: raw, URL: u, origin: u.Path == "" && u.RawQuery == ""}, nil
}

// Matches reports whether f registers a requested URL.
func (f FailAuthURL) Matches(requested string) bool {
	if requested == f.Raw {
		return true
	}
	if !f.origin {
		return false
	}
	u, err := parseAbsolute(requested)
	return err == nil && OriginOf(u) == OriginOf(f.URL)
}

// AppendQuery adds encoded parameters to a URI that may have a query.
func AppendQuery(uri, params string) string {
	return uri + querySeparator(uri) + params
}

// querySeparator is the separator before further parameters of a URI.
func querySeparator(uri string) string {
	switch {
	case !strings.Contains(uri, "?"):
		return "?"
	case strings.HasSuffix(uri, "?"), strings.HasSuffix(uri, "&"):
		return ""
	default:
		return "&"
	}
}
