package session

import (
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

// packed is a session in format 2: a record with shorter names and numbers. A field
// of type any is a string, or, if the string spells bytes, these bytes.
type packed struct {
	Version int `cbor:"0,keyasint,omitempty"` // 0: the first

	Subject    any      `cbor:"1,keyasint"` // bytes: a UUID
	Name       string   `cbor:"2,keyasint,omitempty"`
	Email      string   `cbor:"3,keyasint,omitempty"`
	Groups     []string `cbor:"4,keyasint,omitempty"`
	Avatar     string   `cbor:"5,keyasint,omitempty"`
	Signin     string   `cbor:"6,keyasint,omitempty"`
	ProviderID string   `cbor:"7,keyasint,omitempty"`
	Linked     string   `cbor:"8,keyasint,omitempty"`
	Mark       any      `cbor:"9,keyasint,omitempty"` // bytes: base64url

	Begun int64  `cbor:"10,keyasint"`           // milliseconds since 1970
	Lasts int64  `cbor:"11,keyasint,omitempty"` // milliseconds after Begun, as is Seen
	Seen  int64  `cbor:"12,keyasint,omitempty"`
	Idle  int64  `cbor:"13,keyasint,omitempty"` // milliseconds
	Agent string `cbor:"14,keyasint,omitempty"` // shortened: see agentParts
	From  any    `cbor:"15,keyasint,omitempty"` // bytes: an IP address

	Sites    sites           `cbor:"16,keyasint,omitempty"`
	Upstream ProviderSession `cbor:"17,keyasint,omitzero"`

	Registered int64  `cbor:"18,keyasint,omitempty"` // Unix seconds
	Claims     string `cbor:"19,keyasint,omitempty"`
	AuthTime   int64  `cbor:"20,keyasint,omitempty"` // milliseconds before Begun
}

func (r *record) pack() *packed {
	return &packed{
		Version: packVersion(r.Version),
		Subject: packUUID(r.Subject), Name: r.Name, Email: r.Email, Groups: r.Groups, Avatar: r.Avatar, Signin: r.Signin,
		ProviderID: r.ProviderID, Linked: r.Linked, Mark: packBase64(r.Mark),
		Begun: r.Begun, Lasts: r.Expires - r.Begun, Seen: r.Seen - r.Begun, Idle: r.Idle,
		Agent: shortenAgent.Replace(r.Agent), From: packAddress(r.From),
		Sites: r.Sites, Upstream: r.Upstream, Registered: r.Registered, Claims: r.Claims, AuthTime: r.authBefore(),
	}
}

func (p *packed) unpack() record {
	return record{
		Version: p.Version,
		Subject: unpack(p.Subject, formatUUID), Name: p.Name, Email: p.Email, Groups: p.Groups, Avatar: p.Avatar, Signin: p.Signin,
		ProviderID: p.ProviderID, Linked: p.Linked, Mark: unpack(p.Mark, strict.EncodeToString),
		Begun: p.Begun, Expires: p.Begun + p.Lasts, Seen: p.Begun + p.Seen, Idle: p.Idle,
		Agent: p.Agent, From: unpack(p.From, formatAddress),
		Sites: p.Sites, Upstream: p.Upstream, Registered: p.Registered, Claims: p.Claims, AuthTime: p.authTime(),
	}
}

// authBefore returns how many milliseconds before the session began the user was
// authenticated.
func (r *record) authBefore() int64 {
	if r.AuthTime <= 0 {
		return 0
	}
	return max(0, r.Begun-r.AuthTime)
}

func (p *packed) authTime() int64 {
	if p.AuthTime <= 0 || p.AuthTime >= p.Begun {
		return 0
	}
	return p.Begun - p.AuthTime
}

func packVersion(v int) int {
	if v == records.Version {
		return 0
	}
	return v
}

// unpack returns the string of a field; format spells bytes.
func unpack(v any, format func([]byte) string) string {
	if b, ok := v.([]byte); ok {
		return format(b)
	}
	s, _ := v.(string)
	return s
}

// packText packs s as the bytes b if b spells exactly s. An empty string is nil, and
// so left out.
func packText(s string, b []byte, err error, format func([]byte) string) any {
	switch {
	case s == "":
		return nil
	case err == nil && format(b) == s:
		return b
	}
	return s
}

func packBase64(s string) any {
	b, err := strict.DecodeString(s)
	return packText(s, b, err, strict.EncodeToString)
}

func packUUID(s string) any {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	return packText(s, b, err, formatUUID)
}

func formatUUID(b []byte) string {
	h := hex.EncodeToString(b)
	if len(h) != 32 {
		return ""
	}
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func packAddress(s string) any {
	a, err := netip.ParseAddr(s)
	return packText(s, a.AsSlice(), err, formatAddress)
}

func formatAddress(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return ""
	}
	return a.String()
}

// agentParts are frequent parts of User-Agent headers. A stored session of format 2
// has one control character for each part: its index here. A User-Agent never has
// control characters. No part may be moved or removed.
var agentParts = []string{
	"Mozilla/5.0 (", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64",
	"Linux; Android 10; K", "iPhone; CPU iPhone OS ", " like Mac OS X", "; rv:",
	") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/", ".0.0.0 Safari/537.36", ".0.0.0 Mobile Safari/537.36",
	") AppleWebKit/605.1.15 (KHTML, like Gecko) Version/", " Safari/605.1.15", " Mobile/15E148 Safari/604.1",
	") Gecko/20100101 Firefox/", " Edg/",
}

var shortenAgent, wholeAgent = agentReplacers()

func agentReplacers() (shorten, whole *strings.Replacer) {
	forth, back := make([]string, 0, 2*len(agentParts)), make([]string, 0, 2*len(agentParts))
	for i, part := range agentParts {
		code := string(rune(i + 1))
		forth, back = append(forth, part, code), append(back, code, part)
	}
	return strings.NewReplacer(forth...), strings.NewReplacer(back...)
}
