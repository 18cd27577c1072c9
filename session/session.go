// Package session keeps SSO sessions, one for each browser's sign-in at the
// portal, and site sessions, which the gate keeps on a backend's own domain.
// A site session lives and dies with its SSO session.
//
// The truth is in a [storage.Store]. A [Cache] holds what was read of it,
// decoded, so that checking a live session costs no I/O; the store's feed of
// changes keeps it honest. A [Sessions] is a Cache seen under a [Policy], which
// is what one configuration works with.
//
// What the cache does when things go wrong:
//
//   - A value enters it only if nothing was heard of its key, and the feed was
//     not interrupted, since the read began.
//   - After an interrupted feed, entries are unverified: they are read again
//     when next used. While the store does not answer, they are served for
//     [Policy].OutageGrace.
//   - A token that the cache does not know while the store does not answer is
//     an error that wraps [storage.ErrUnavailable], never [ErrNone]: an outage
//     signs nobody out, and lets nobody in.
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
	// ErrNone is returned when there is no such session: it never was, it has
	// ended or expired, or the cookie is not a token at all.
	ErrNone = errors.New("session: none")

	// ErrEnded is the cause of a context from [Sessions.Attach] whose session
	// has ended.
	ErrEnded = errors.New("session: ended")
)

// A User is who signed in.
type User struct {
	// Subject identifies the user for ever: a UUID, or the ID that one sign-in method
	// has for its users. It may not be empty.
	Subject string   `cbor:"1,keyasint"`
	Name    string   `cbor:"2,keyasint,omitempty"`
	Email   string   `cbor:"3,keyasint,omitempty"`
	Groups  []string `cbor:"4,keyasint,omitempty"`

	// Avatar is the address of a picture, or empty.
	Avatar string `cbor:"5,keyasint,omitempty"`

	// ProviderID is what the provider or the server elsewhere that the user signed in
	// by calls them, or empty.
	ProviderID string `cbor:"6,keyasint,omitempty"`

	// Signin is the ID of the way that signed the user in, such as "local".
	Signin string `cbor:"7,keyasint,omitempty"`

	// Linked is the ID of the way whose user this is, where that is another than
	// the one that signed the user in, or empty.
	Linked string `cbor:"8,keyasint,omitempty"`

	// Mark tells the credential that the user had at the sign-in from any later
	// one. It is no secret. Empty: the sign-in method does not tell.
	Mark string `cbor:"9,keyasint,omitempty"`

	// Registered is when the account was made, in Unix seconds; 0: that is not known.
	Registered int64 `cbor:"10,keyasint,omitempty" json:",omitempty"`
}

// A Session is one browser's sign-in. Its methods are safe for concurrent use.
type Session struct {
	key Key

	// All strings of the user share one backing string, and the ways of signing
	// in are interned: of a million sessions, every byte counts. After the
	// groups comes the avatar, then the provider's ID, the mark, when the account was
	// made, and then, but not in sessions that are kept in memory, the device's agent
	// and address, a NUL before each. kept is for how many seconds after its last use the session is
	// stored; 0 is not known.
	text      string
	groups    []string
	signin    unique.Handle[string]
	nameAt    uint32
	emailAt   uint32
	groupsAt  uint32
	kept      uint32
	begun     int64 // milliseconds since 1970, as are all below
	expires   int64
	seen      atomic.Int64 // moves when this process extends the session
	attempted atomic.Int64 // when this process last tried to: when it was last used here
}

// Key returns the key under which the session is stored.
func (s *Session) Key() Key { return s.key }

// ID returns a short name of the session for logs and administration.
func (s *Session) ID() string { return s.key.ID() }

// User returns who signed in. Callers must not modify Groups.
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
	}
}

// parseRegistered is the inverse of formatRegistered.
func parseRegistered(text string) int64 {
	if text == "" { // of most sessions
		return 0
	}
	seconds, _ := strconv.ParseInt(text, 36, 64)
	return seconds
}

// formatRegistered spells when an account was made; "" is not known.
func formatRegistered(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return strconv.FormatInt(seconds, 36)
}

// Agent returns what the browser called itself when the user signed in: at most
// 128 printable bytes, which may say anything. It is "" in a session that was
// not listed: [Sessions.Check] does not keep it.
func (s *Session) Agent() string {
	agent, _ := s.device()
	return agent
}

// From returns the address that the user signed in from, under the same rules.
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
	return s.text[at:]
}

// Seen returns when the session was last used, as far as that was written down:
// see [Policy].Idle.
func (s *Session) Seen() time.Time { return time.UnixMilli(s.seen.Load()) }

// Begun returns when the user signed in.
func (s *Session) Begun() time.Time { return time.UnixMilli(s.begun) }

// Expires returns the session's absolute end, as set when it began. Idleness,
// signing out, or a policy that has become stricter may end it sooner.
func (s *Session) Expires() time.Time { return time.UnixMilli(s.expires) }

func newSession(k Key, r record) *Session {
	s := &Session{
		key:     k,
		signin:  unique.Make(methods(r.Signin, r.Linked)),
		begun:   r.Begun,
		expires: r.Expires,
		kept:    uint32(min(max(r.kept(), 0)/1000, math.MaxUint32)),
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
	size += len(after)
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
