package gate

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/session"
)

// Headers are the names of the identity headers.
type Headers struct {
	prefix                       string // canonical, ends in "-"
	folded                       string // as fold writes it
	user, subject, email, groups string
	client                       string
	own                          []ownHeader
	key                          string // names all headers that it owns
}

// DefaultHeaderPrefix begins the names of the identity headers.
const DefaultHeaderPrefix = "X-SSO-"

// Same reports whether both own the same headers.
func (h *Headers) Same(other *Headers) bool { return h.key == other.key }

// NewHeaders makes the names of the identity headers from their settings.
func NewHeaders(s HeaderSettings) (Headers, error) {
	h, err := headersUnder(cmp.Or(s.Prefix, DefaultHeaderPrefix))
	if err != nil {
		return Headers{}, err
	}
	if h.own, err = newOwnHeaders(s, h.prefix); err != nil {
		return Headers{}, err
	}
	h.key = h.folded
	for i := range h.own {
		h.key += " " + h.own[i].folded
	}
	return h, nil
}

// CheckHeaderPrefix returns an error if a prefix cannot begin the identity headers.
func CheckHeaderPrefix(prefix string) error {
	_, err := headersUnder(prefix)
	return err
}

// headersUnder makes the names of the identity headers from their prefix. A prefix owns
// every header that begins with it, so it has to be one that no other header has.
func headersUnder(prefix string) (Headers, error) {
	if len(prefix) < 4 || !strings.HasSuffix(prefix, "-") || strings.Trim(prefix, headerLetters) != "" {
		return Headers{}, fmt.Errorf("header_prefix %q: expected letters, digits and hyphens, at least 4, with a hyphen last, such as X-SSO-", prefix)
	}
	folded := strings.ToLower(prefix)
	for _, known := range []string{"x-forwarded-", "x-real-", "sec-", "accept-", "content-", "if-", "access-control-", "proxy-", "x-requested-"} {
		if strings.HasPrefix(known, folded) || strings.HasPrefix(folded, known) {
			return Headers{}, errors.New("header_prefix " + prefix + ": other headers begin with it; choose one of your own, such as X-SSO-")
		}
	}
	canonical := textproto.CanonicalMIMEHeaderKey(prefix)
	return Headers{
		prefix: canonical, folded: folded,
		user: canonical + "User", subject: canonical + "Subject", email: canonical + "Email", groups: canonical + "Groups",
		client: canonical + "Client",
	}, nil
}

const headerLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

// owns reports whether a header name is an identity header in any spelling. Servers
// that make environment variables of headers (RFC 3875 section 4.1.18) read X-SSO-User,
// x_sso_user and X.SSO.User, and some even X!SSO!User, as HTTP_X_SSO_USER.
func (h *Headers) owns(name string) bool {
	if foldsTo(name, h.folded) {
		return true
	}
	for i := range h.own {
		if own := h.own[i].folded; len(name) == len(own) && foldsTo(name, own) {
			return true
		}
	}
	return false
}

// foldsTo reports whether a name begins with a folded one, in any spelling.
func foldsTo(name, folded string) bool {
	if len(name) < len(folded) {
		return false
	}
	for i := range len(folded) {
		if fold(name[i]) != folded[i] {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return c
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	}
	return '-'
}

// scrub calls Scrub once for the same headers.
func (v *request) scrub(h *Headers, r *http.Request) {
	for clean := range strings.SplitSeq(v.scrubbed, "\n") {
		if clean == h.key {
			return
		}
	}
	if v.scrubbed != "" {
		v.scrubbed += "\n"
	}
	v.scrubbed += h.key
	h.Scrub(r)
}

// Scrub deletes everything that looks like an identity header, and settings of HTTP/2,
// from a request.
func (h *Headers) Scrub(r *http.Request) {
	for name := range r.Header {
		if h.owns(name) || isHTTP2Settings(name) {
			delete(r.Header, name)
		}
	}
	if r.Trailer != nil {
		h.scrubTrailer(r.Trailer)
		if r.Body != nil {
			r.Body = &scrubbedBody{r.Body, h, r.Trailer}
		}
	}
	disconnect(r.Header, h.owns)
}

func (h *Headers) scrubTrailer(trailer http.Header) {
	for name := range trailer {
		if h.owns(name) {
			delete(trailer, name)
		}
	}
}

// A scrubbedBody deletes identity headers from the trailer again when the body ends.
// Only then the trailer has its values, and fields that the Trailer header did not
// announce.
type scrubbedBody struct {
	io.ReadCloser
	headers *Headers
	trailer http.Header
}

func (b *scrubbedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.headers.scrubTrailer(b.trailer)
	}
	return n, err
}

// disconnect removes names from the Connection header. With the name of an identity
// header there, a client could make a proxy remove the header that we set (RFC 9110
// section 7.6.1).
func disconnect(header http.Header, owns func(name string) bool) {
	lines, there := header["Connection"]
	if !there {
		return
	}
	named := func(token string) bool { return owns(strings.TrimSpace(token)) }
	names := func(line string) bool {
		for token := range strings.SplitSeq(line, ",") {
			if named(token) {
				return true
			}
		}
		return false
	}
	if !slices.ContainsFunc(lines, names) {
		return
	}
	var kept []string
	for _, line := range lines {
		tokens := slices.DeleteFunc(strings.Split(line, ","), named)
		if len(tokens) > 0 {
			kept = append(kept, strings.Join(tokens, ","))
		}
	}
	if len(kept) == 0 {
		delete(header, "Connection")
		return
	}
	header["Connection"] = kept
}

// set writes the identity of a user. A header whose value would be empty is
// absent.
func (h *Headers) set(header http.Header, u *session.User) {
	values := make([]string, 4)
	put := func(i int, name, value string) {
		if value != "" {
			values[i] = value
			header[name] = values[i : i+1 : i+1]
		}
	}
	put(0, h.user, encode(u.Name, false))
	put(1, h.subject, u.Subject)
	put(2, h.email, encode(u.Email, false))
	if len(u.Groups) > 0 {
		put(3, h.groups, JoinGroups(u.Groups))
	}
	h.setOwn(header, u)
}

// setClient writes the identity of a client, whose ID is decimal.
func (h *Headers) setClient(header http.Header, id string) { header[h.client] = []string{id} }

// JoinGroups writes groups as the header has them: each percent-encoded, so that
// a comma stands between two groups and never in one.
func JoinGroups(groups []string) string {
	if len(groups) == 1 {
		return encode(groups[0], true)
	}
	encoded := make([]string, len(groups))
	for i, g := range groups {
		encoded[i] = encode(g, true)
	}
	return strings.Join(encoded, ",")
}

// encode percent-encodes what a header value cannot hold, and, in a list, all
// but unreserved characters (RFC 3986 section 2.3).
func encode(s string, list bool) string {
	safe := true
	for i := range len(s) {
		safe = safe && plain(s[i], list)
	}
	if safe {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; plain(c, list) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func plain(c byte, list bool) bool {
	if !list {
		return c >= 0x20 && c != 0x7f
	}
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
