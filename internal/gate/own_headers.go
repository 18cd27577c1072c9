package gate

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/session"
)

// HeaderSettings say which identity headers a gate sets.
type HeaderSettings struct {
	// Prefix begins the names of the headers that every gate sets. Empty: X-SSO-.
	Prefix string

	// Preset is the name of headers that backends of another product expect: see
	// [HeaderPresets]. Empty: none.
	Preset string

	// Set has further headers: their names, and a placeholder for each. A name here
	// replaces that of the preset.
	Set map[string]string
}

// HeaderPresets are the headers that backends expect which were written for other
// products.
var HeaderPresets = map[string]map[string]string{
	// https://www.authelia.com/integration/trusted-header-sso/introduction/
	"authelia": {
		"Remote-User":   "{user.name}",
		"Remote-Name":   "{user.name}",
		"Remote-Email":  "{user.email}",
		"Remote-Groups": "{user.groups}",
	},
	// https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview, set_xauthrequest
	"oauth2_proxy": {
		"X-Auth-Request-User":               "{user.subject}",
		"X-Auth-Request-Preferred-Username": "{user.name}",
		"X-Auth-Request-Email":              "{user.email}",
		"X-Auth-Request-Groups":             "{user.groups}",
	},
}

// An ownHeader is one of [HeaderSettings].
type ownHeader struct {
	name   string // canonical
	folded string // as fold writes it
	field  string // the placeholder without its braces
	claim  string // the name of the claim of {user.claim.…}
}

const claimPlaceholder = "user.claim."

// newOwnHeaders checks the settings of headers, in the order of their names.
func newOwnHeaders(s HeaderSettings, prefix string) ([]ownHeader, error) {
	preset, known := HeaderPresets[s.Preset]
	if s.Preset != "" && !known {
		return nil, fmt.Errorf("headers %s: this preset is unknown; expected one of: %s", s.Preset, strings.Join(slices.Sorted(maps.Keys(HeaderPresets)), ", "))
	}
	values := map[string]string{} // by canonical name
	maps.Copy(values, preset)
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(s.Set)) {
		if err := checkHeaderName(name, prefix); err != nil {
			return nil, err
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if seen[canonical] {
			return nil, fmt.Errorf("headers: %s is there in two spellings; keep one", canonical)
		}
		seen[canonical], values[canonical] = true, s.Set[name]
	}
	own := make([]ownHeader, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		h := ownHeader{name: name, folded: strings.ToLower(name)}
		if err := h.setValue(values[name]); err != nil {
			return nil, err
		}
		own = append(own, h)
	}
	return own, nil
}

// setValue reads the placeholder of a header.
func (h *ownHeader) setValue(value string) error {
	field, opened := strings.CutPrefix(value, "{")
	field, closed := strings.CutSuffix(field, "}")
	if claim, ok := strings.CutPrefix(field, claimPlaceholder); opened && closed && ok {
		if _, kept := (session.Claims{}).With(claim).Values(claim); !kept || claim == session.ClaimEmail || claim == session.ClaimGroups {
			return fmt.Errorf("headers: %s %s: expected the name of a claim, such as {user.claim.department}; for addresses and groups use {user.email} and {user.groups}", h.name, value)
		}
		h.field, h.claim = claimPlaceholder, claim
		return nil
	}
	if !opened || !closed || !slices.Contains([]string{"user.name", "user.subject", "user.email", "user.groups"}, field) {
		return fmt.Errorf("headers: %s %q: expected one of {user.name}, {user.subject}, {user.email}, {user.groups}, or {user.claim.<name>}", h.name, value)
	}
	h.field = field
	return nil
}

// Headers that the connection, the message or other handlers need. Names that end in a
// hyphen stand for all that begin so.
var reservedHeaders = []string{
	"connection", "keep-alive", "te", "trailer", "trailers", "transfer-encoding", "upgrade", "proxy-", // hop by hop (RFC 9110 section 7.6.1)
	"host", "cookie", "cookie2", "set-cookie", "authorization", "www-authenticate", "expect", "max-forwards", "date", "via",
	"content-", "accept", "accept-", "if-", "range", "cache-control", "pragma", "origin", "referer", "user-agent", "from",
	"forwarded", "x-forwarded-", "x-real-", "sec-", "access-control-", "http2-settings", "x-requested-with",
	"x-original-", "x-rewrite-", "x-http-method", "x-http-method-override", "x-method-override", "priority", "early-data",
}

// checkHeaderName refuses names that a gate must not set, or that are set already.
func checkHeaderName(name, prefix string) error {
	if name == "" || len(name) > 128 || strings.Trim(name, headerLetters) != "" || strings.Trim(name, "-") == "" {
		return fmt.Errorf("headers: %q: expected a name of letters, digits and hyphens, such as Remote-User", name)
	}
	folded := strings.ToLower(name)
	if strings.HasPrefix(folded, strings.ToLower(prefix)) {
		return fmt.Errorf("headers: %s begins with the header_prefix %s, whose headers the gate sets by itself; use another name", name, prefix)
	}
	for _, reserved := range reservedHeaders {
		if folded == reserved || strings.HasSuffix(reserved, "-") && strings.HasPrefix(folded, reserved) {
			return errors.New("headers: " + name + ": the request, or another handler, needs this header; use another name, such as Remote-User")
		}
	}
	return nil
}

// Claims returns the names of the claims that headers have.
func (h *Headers) Claims() (names []string) {
	for i := range h.own {
		if h.own[i].claim != "" {
			names = append(names, h.own[i].claim)
		}
	}
	return names
}

// setOwn writes the identity of a user. A header whose value would be empty is absent.
func (h *Headers) setOwn(header http.Header, u *session.User) {
	if len(h.own) == 0 {
		return
	}
	values := make([]string, len(h.own))
	for i := range h.own {
		if values[i] = h.own[i].value(u); values[i] != "" {
			header[h.own[i].name] = values[i : i+1 : i+1]
		}
	}
}

func (h *ownHeader) value(u *session.User) string {
	switch h.field {
	case "user.name":
		return encode(u.Name, false)
	case "user.subject":
		return encode(u.Subject, false)
	case "user.email":
		return encode(u.Email, false)
	case "user.groups":
		return joinList(u.Groups)
	case claimPlaceholder:
		if value, more := u.Claims.First(h.claim); !more {
			return encode(value, false)
		}
		values, _ := u.Claims.Values(h.claim)
		return joinList(values)
	}
	return ""
}

// joinList joins values with commas, as backends of other products read them. In a value
// a comma and a percent sign are percent-encoded, so that no value becomes two.
func joinList(values []string) string {
	if len(values) == 1 && !strings.ContainsAny(values[0], ",%") {
		return encode(values[0], false)
	}
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		for j := range len(v) {
			if c := v[j]; c == ',' || c == '%' || !plain(c, false) {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}
