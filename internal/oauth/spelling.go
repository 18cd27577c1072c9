package oauth

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// BrowserSpelling returns a web URL in the spelling of browsers (the WHATWG URL
// Standard), since it is compared with what browsers send. An empty path stays empty,
// and a URL with another scheme stays as it is. A dot at the end of the host name is
// removed, although browsers keep it: for cookies, certificates and Caddy it makes
// another name.
func BrowserSpelling(raw string) (string, error) {
	scheme, rest, _ := strings.Cut(raw, ":")
	scheme = strings.ToLower(scheme)
	defaultPort, web := map[string]string{"http": "80", "https": "443"}[scheme]
	if !web {
		return raw, nil
	}
	rest = strings.TrimLeft(rest, `/\`)
	authority, tail := cutBefore(rest, `/\?#`)
	at := strings.LastIndexByte(authority, '@') + 1
	host, port := authority[at:], ""
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host, port = host[:colon], host[colon+1:]
		for len(port) > 1 && port[0] == '0' {
			port = port[1:]
		}
	}
	host, err := browserHost(host)
	if err != nil {
		return "", err
	}
	if port != "" && port != defaultPort {
		host += ":" + port
	}
	path, tail := cutBefore(tail, "?#")
	query, fragment := cutBefore(tail, "#")
	return scheme + "://" + authority[:at] + host + browserPath(path) + encoded(query, `"#<>'`) + fragment, nil
}

// cutBefore cuts s before the first of some characters.
func cutBefore(s, any string) (before, rest string) {
	if i := strings.IndexAny(s, any); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// domains converts a host name to ASCII as browsers do (UTS 46, as in the standard).
var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckJoiners(true),
	idna.CheckHyphens(false), idna.StrictDomainName(false), idna.VerifyDNSLength(false))

// ASCIIDomain returns a domain in the form that DNS has, as browsers make it.
func ASCIIDomain(domain string) (string, error) {
	ascii, err := domains.ToASCII(domain)
	if err != nil {
		return "", errNoHost
	}
	return ascii, nil
}

var errNoHost = errors.New("has a host that no browser knows; expected a name such as game.example, 192.0.2.1 or [2001:db8::1]")

func browserHost(host string) (string, error) {
	if host == "" {
		return "", errors.New("has no host")
	}
	if address, ok := strings.CutPrefix(host, "["); ok {
		return browserIPv6(strings.TrimSuffix(address, "]"))
	}
	name, err := url.PathUnescape(host)
	if err != nil || !utf8.ValidString(name) {
		return "", errNoHost
	}
	name, err = domains.ToASCII(name)
	name = strings.TrimSuffix(name, ".")
	if err != nil || name == "" || strings.ContainsAny(name, "\x00\t\n\r #/:<>?@[\\]^|%\x7f") {
		return "", errNoHost
	}
	if labels := strings.Split(name, "."); isNumber(labels[len(labels)-1]) {
		return browserIPv4(labels)
	}
	return name, nil
}

func browserIPv6(address string) (string, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", errNoHost
	}
	if ip.Is4In6() {
		b := ip.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15])), nil
	}
	return "[" + ip.String() + "]", nil
}

// isNumber reports whether a host with this last label is an IPv4 address, or invalid.
func isNumber(label string) bool {
	_, err := parseIPv4Number(label)
	return err == nil || errors.Is(err, strconv.ErrRange) || label != "" && strings.Trim(label, "0123456789") == ""
}

// parseIPv4Number parses a number as browsers do: 0x… is hexadecimal, 0… is octal.
func parseIPv4Number(s string) (uint64, error) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"):
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	if s == "" && base == 16 {
		return 0, nil
	}
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		return 0, errNoHost
	}
	return strconv.ParseUint(s, base, 32)
}

// browserIPv4 parses an address of up to four numbers. The last one fills all
// remaining bytes.
func browserIPv4(parts []string) (string, error) {
	if len(parts) > 4 {
		return "", errNoHost
	}
	var address uint64
	for i, part := range parts {
		n, err := parseIPv4Number(part)
		last := i == len(parts)-1
		if err != nil || !last && n > 255 || last && n >= 1<<(8*(4-i)) {
			return "", errNoHost
		}
		if last {
			address += n
			break
		}
		address += n << (8 * (3 - i))
	}
	return netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}).String(), nil
}

// browserPath resolves dot segments, which may be percent-encoded.
func browserPath(path string) string {
	if path == "" {
		return ""
	}
	segments := strings.Split(strings.ReplaceAll(path[1:], `\`, "/"), "/")
	var kept []string
	for i, segment := range segments {
		dots := strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
		if dots != "." && dots != ".." {
			kept = append(kept, encoded(segment, "\"#<>?^`{}"))
			continue
		}
		if dots == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		if i == len(segments)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// encoded percent-encodes non-ASCII characters, control characters, spaces and some
// others. Encoded characters stay as they are.
func encoded(s, others string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(others, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

var errWildcard = errors.New("has a wildcard (*), which is not supported; register each URL in full")

// parseRegistered parses an absolute URL to register. It must have the spelling of
// browsers, since requests are compared with it byte for byte.
func parseRegistered(raw string) (*url.URL, error) {
	if _, afterScheme, _ := strings.Cut(raw, ":"); strings.Contains(withoutQuery(afterScheme), "*") {
		return nil, errWildcard
	}
	if utf8.ValidString(raw) && CleanText(raw) && !strings.ContainsAny(raw, neverInURLs) {
		right, err := BrowserSpelling(raw)
		if err != nil {
			return nil, err
		}
		if right != raw && right != withoutHTTPPort(raw) {
			return nil, fmt.Errorf("browsers write it differently; register %s", right)
		}
	}
	return parseAbsolute(raw)
}

func withoutQuery(s string) string {
	before, _ := cutBefore(s, "?#")
	return before
}

// withoutHTTPPort removes port 80 of http, which a registration may have: on
// loopback, a registration without a port is for all ports.
func withoutHTTPPort(raw string) string {
	authority, rest := cutBefore(strings.TrimPrefix(raw, "http://"), "/?#")
	if host, found := strings.CutSuffix(authority, ":80"); found && strings.HasPrefix(raw, "http://") {
		return "http://" + host + rest
	}
	return raw
}
