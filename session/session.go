// Package session keeps SSO sessions, one for each sign-in of a browser at the
// portal, and site sessions, which the gate keeps on a backend's own domain. A site
// session ends with its SSO session.
//
// # Store, cache and policy
//
// Sessions are stored in a [storage.Store]. A [Cache] has decoded sessions, so that
// checking a live session needs no I/O; the store's feed of changes keeps the cache
// coherent. A [Sessions] is a Cache with a [Policy]: the view of one configuration.
//
// # Failures of the store
//
//   - A value enters the cache only if no change of its key was reported, and the feed
//     was not interrupted, since the read began.
//   - After an interruption of the feed, entries are unverified: they are read again at
//     their next use. While the store does not answer, they stay valid for
//     [Policy].OutageGrace.
//   - An unknown token while the store does not answer is an error that wraps
//     [storage.ErrUnavailable], and never [ErrNone]. So an outage signs no user out, and
//     signs no user in.
//
// # Limits and lists
//
// A user has at most [Policy].PerUser sessions, and a session at most 64 site sessions; the
// oldest ends first. Both are on lists that are written before the record itself, by
// compare-and-swap. So a list is always complete, and a user can be ended without a search.
// A new session reads its list once more after it is stored, so that concurrent sign-ins
// keep the limit.
//
// # Live requests
//
// The context of [Sessions.Attach] ends with its session. Caddy's reverse proxy then closes
// both sides of a WebSocket or stream. An open connection counts as a use of its session.
//
// # Secrets
//
// A [Token] is the only secret. The browser has it in a cookie, and the store has its
// hash, the [Key]. Tokens print as [redacted].
package session

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unique"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

var (
	// ErrNone means that there is no such session: it never existed, it has ended or
	// expired, or the cookie has no token.
	ErrNone = errors.New("session: none")

	// ErrEnded is the cause of a context from [Sessions.Attach] whose session has
	// ended.
	ErrEnded = errors.New("session: ended")
)

// A User is the user of a session.
type User struct {
	// Subject identifies the user and never changes. It is a UUID, or the ID that one
	// sign-in method has for its users. It must not be empty.
	Subject string   `cbor:"1,keyasint"`
	Name    string   `cbor:"2,keyasint,omitempty"`
	Email   string   `cbor:"3,keyasint,omitempty"`
	Groups  []string `cbor:"4,keyasint,omitempty"`

	// Avatar is the URL of a picture, or empty.
	Avatar string `cbor:"5,keyasint,omitempty"`

	// ProviderID is the user's ID at the provider or server that checked the sign-in,
	// or empty.
	ProviderID string `cbor:"6,keyasint,omitempty"`

	// Signin is the ID of the sign-in method, such as "local".
	Signin string `cbor:"7,keyasint,omitempty"`

	// Linked is the ID of the sign-in method that the user belongs to, if the user
	// signed in with another one; or empty.
	Linked string `cbor:"8,keyasint,omitempty"`

	// Mark identifies the user's credential at the sign-in, so that a changed
	// password ends the session. It is no secret. Empty: the sign-in method has no
	// marks.
	Mark string `cbor:"9,keyasint,omitempty"`

	// Registered is when the account was created, in Unix seconds. 0: unknown.
	Registered int64 `cbor:"10,keyasint,omitempty" json:",omitempty"`

	// Claims are what the provider stated beside these fields. Only the stored session
	// has them: tokens and grants do not.
	Claims Claims `cbor:"-" json:"-"`
}

// A Session is an SSO session: the sign-in of one browser. Its methods are safe for concurrent use.
type Session struct {
	key Key

	// All strings of the user share one backing string, and the IDs of sign-in
	// methods are interned, since there may be a million sessions in memory. After
	// the groups come the avatar, the provider's ID, the mark and the creation time
	// of the account, each after a NUL. Sessions that are not cached also have the
	// User-Agent and the address. The packed claims are last. kept is for how many
	// seconds after its last use the session is stored; 0: unknown. authAge is how many
	// seconds before the session began the user was authenticated.
	text      string
	groups    []string
	signin    unique.Handle[string]
	nameAt    uint32
	emailAt   uint32
	groupsAt  uint32
	claimsAt  uint32
	kept      uint32
	authAge   uint32
	begun     int64 // milliseconds since 1970, as are all below
	expires   int64
	seen      atomic.Int64 // changes when this process extends the session
	attempted atomic.Int64 // the last use in this process
}

// Key returns the storage key of the session.
func (s *Session) Key() Key { return s.key }

// ID returns a short ID of the session for logs and administration.
func (s *Session) ID() string { return s.key.ID() }

// User returns the user. Callers must not modify Groups.
func (s *Session) User() User {
	avatar, rest, _ := strings.Cut(s.afterGroups(), "\x00")
	providerID, rest, _ := strings.Cut(rest, "\x00")
	mark, rest, _ := strings.Cut(rest, "\x00")
	registered, _, _ := strings.Cut(rest, "\x00")
	signin, linked := methodsOf(s.signin.Value())
	return User{
		Subject: s.text[:s.nameAt],
		Name:    s.text[s.nameAt:s.emailAt],
		Email:   s.text[s.emailAt:s.groupsAt],
		Groups:  s.groups,
		Avatar:  avatar,

		ProviderID: providerID,
		Signin:     signin,
		Linked:     linked,
		Mark:       mark,
		Registered: parseRegistered(registered),
		Claims:     Claims{s.text[s.claimsAt:]},
	}
}

// parseRegistered is the inverse of formatRegistered.
func parseRegistered(text string) int64 {
	if text == "" { // as in most sessions
		return 0
	}
	seconds, _ := strconv.ParseInt(text, 36, 64)
	return seconds
}

// formatRegistered formats when an account was created; "": unknown.
func formatRegistered(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return strconv.FormatInt(seconds, 36)
}

// Agent returns the User-Agent at the sign-in: at most 128 printable bytes, which the
// client chose. Only methods that list sessions return it: it is "" after
// [Sessions.Check].
func (s *Session) Agent() string {
	agent, _ := s.device()
	return agent
}

// From returns the client's address at the sign-in, under the same rules.
func (s *Session) From() string {
	_, from := s.device()
	return from
}

func (s *Session) device() (agent, from string) {
	parts := strings.SplitN(s.afterGroups(), "\x00", 6)
	if len(parts) < 6 {
		return "", ""
	}
	return parts[4], parts[5]
}

func (s *Session) afterGroups() string {
	at := int(s.groupsAt)
	for _, g := range s.groups {
		at += len(g)
	}
	return s.text[at:s.claimsAt]
}

// Seen returns the stored time of the last use: see [Policy].Idle.
func (s *Session) Seen() time.Time { return time.UnixMilli(s.seen.Load()) }

// Begun returns the time of the sign-in.
func (s *Session) Begun() time.Time { return time.UnixMilli(s.begun) }

// AuthTime returns when the user was authenticated: when the session began, or earlier
// if the provider of the sign-in had authenticated the user before (auth_time in OpenID
// Connect Core section 2). It is exact to a second.
func (s *Session) AuthTime() time.Time {
	return time.UnixMilli(s.begun).Add(-time.Duration(s.authAge) * time.Second)
}

// Expires returns the absolute end, as set when the session began. Idleness, a
// sign-out or a stricter policy may end it earlier.
func (s *Session) Expires() time.Time { return time.UnixMilli(s.expires) }

func newSession(k Key, r record) *Session {
	s := &Session{
		key:     k,
		signin:  unique.Make(methods(r.Signin, r.Linked)),
		begun:   r.Begun,
		expires: r.Expires,
		kept:    uint32(min(max(r.kept(), 0)/1000, math.MaxUint32)),
		authAge: r.authAge(),
	}
	s.seen.Store(r.Seen)
	var text strings.Builder
	size := len(r.Subject) + len(r.Name) + len(r.Email)
	for _, g := range r.Groups {
		size += len(g)
	}
	if r.Agent != "" && r.format == records.CBOR {
		r.Agent = clean(wholeAgent.Replace(r.Agent), longestAgent)
	}
	after := r.Avatar
	registered := formatRegistered(r.Registered)
	device := r.Agent != "" || r.From != ""
	if device || r.ProviderID != "" || r.Mark != "" || registered != "" {
		after += "\x00" + r.ProviderID
	}
	if device || r.Mark != "" || registered != "" {
		after += "\x00" + r.Mark
	}
	if device || registered != "" {
		after += "\x00" + registered
	}
	if device {
		after += "\x00" + r.Agent + "\x00" + r.From
	}
	claims := parseClaims(r.Claims).packed
	size += len(after) + len(claims)
	text.Grow(size)
	text.WriteString(r.Subject)
	s.nameAt = uint32(text.Len())
	text.WriteString(r.Name)
	s.emailAt = uint32(text.Len())
	text.WriteString(r.Email)
	s.groupsAt = uint32(text.Len())
	for _, g := range r.Groups {
		text.WriteString(g)
	}
	text.WriteString(after)
	s.claimsAt = uint32(text.Len())
	text.WriteString(claims)
	s.text = text.String()
	if len(r.Groups) == 0 {
		return s
	}
	s.groups = make([]string, len(r.Groups))
	at := int(s.groupsAt)
	for i, g := range r.Groups {
		s.groups[i] = s.text[at : at+len(g)]
		at += len(g)
	}
	return s
}
