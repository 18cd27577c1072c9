package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

const (
	// beginTimeout bounds Begin. It is shorter than settling: otherwise a session
	// could be stored after it was removed from its user's list as dead.
	beginTimeout = 30 * time.Second

	longestAvatar = 512
	longestAgent  = 128
	longestFrom   = 64

	longestProviderID = 255 // OpenID Connect Core section 2
	longestMark       = 64
)

// A SignIn describes a new session.
type SignIn struct {
	User User

	// Agent is the User-Agent, and From the client's address. Users recognize their
	// sessions by them. Both may be empty. They are truncated, and unprintable
	// characters are removed.
	Agent string
	From  string

	// AuthTime is when the user was authenticated. Zero, or a time to come: now. See
	// [UnknownAuthTime].
	AuthTime time.Time

	// Upstream is the provider's session. Begin sets its field Asked.
	Upstream ProviderSession

	// Replaces is a session that the caller ends after this one has begun. It does
	// not count for [Policy].PerUser. The zero Key means none.
	Replaces Key

	// Ended, if not nil, is called for every session that ended because the user has
	// too many, even if the sign-in fails after that.
	Ended func(*Session)
}

// Begin signs a user in: it stores a new session under a new token. If the user has
// more than [Policy].PerUser sessions, the oldest end. After an error there is no
// valid token.
func (s *Sessions) Begin(ctx context.Context, in SignIn) (Token, *Session, error) {
	t, begun, err := s.begin(ctx, in)
	if err != nil {
		return Token{}, nil, fmt.Errorf("beginning a session: %w", err)
	}
	return t, begun, nil
}

func (s *Sessions) begin(ctx context.Context, in SignIn) (Token, *Session, error) {
	u := in.User
	if u.Subject == "" {
		return Token{}, nil, errors.New("the user has no subject")
	}
	if whole(u.Mark, longestMark) != u.Mark { // without the mark, a changed password would not end the session
		return Token{}, nil, errors.New("the mark of the user's credential cannot be kept")
	}
	if err := ctx.Err(); err != nil {
		return Token{}, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	t, err := newToken(s.cache.random, s.terms.tokenSize)
	if err != nil {
		return Token{}, nil, err
	}
	now := s.cache.now()
	r := record{
		Version: records.Version, format: s.terms.format,
		Subject: u.Subject, Name: u.Name, Email: u.Email, Groups: u.Groups, Avatar: clean(u.Avatar, longestAvatar), Signin: u.Signin,
		ProviderID: whole(u.ProviderID, longestProviderID), Linked: u.Linked, Mark: u.Mark, Registered: u.Registered, Claims: u.Claims.packed, Upstream: in.Upstream.begun(now),
		AuthTime: authTime(in.AuthTime, now), Begun: now, Seen: now, Expires: now + s.terms.lifetime, Idle: s.terms.idle,
		Agent: clean(in.Agent, longestAgent), From: clean(in.From, longestFrom),
	}
	value, err := r.encode()
	if err != nil {
		return Token{}, nil, err
	}
	begun := newSession(t.Key(), r)
	if err := s.enlist(ctx, begun, in); err != nil {
		return Token{}, nil, err
	}
	if err := s.put(ctx, begun, value, s.terms.stored(r, now)); err != nil {
		s.withdraw(ctx, begun)
		return Token{}, nil, err
	}
	return t, begun, nil
}

// UnknownAuthTime is the time of authentication of a user whose provider did not state
// it. It is long ago, so whoever needs a fresh sign-in asks for one.
var UnknownAuthTime = time.UnixMilli(1)

// authTime returns a time of authentication as it is stored; 0: when the session began.
func authTime(at time.Time, now int64) int64 {
	if ms := at.UnixMilli(); !at.IsZero() && ms > 0 && ms < now {
		return ms
	}
	return 0
}

// put stores a session that is on its user's list already. A later sign-in may have
// ended it before it was stored. From now on others find it.
func (s *Sessions) put(ctx context.Context, begun *Session, value []byte, lifetime time.Duration) error {
	if err := s.cache.store.Put(ctx, begun.key.in(sessionPrefix), value, lifetime); err != nil {
		return err
	}
	newer, err := s.relist(ctx, begun)
	if err == nil && newer >= s.terms.perUser {
		return errors.New("the user signs in too often at once")
	}
	return err
}

// withdraw tries to remove a session whose token is not given to the browser.
func (s *Sessions) withdraw(ctx context.Context, begun *Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), extendTimeout)
	defer cancel()
	if _, _, err := s.cache.store.Take(ctx, begun.key.in(sessionPrefix)); err != nil {
		s.cache.logger("session "+begun.ID(), err)
	}
	s.delist(ctx, begun.User().Subject, begun.key)
}

// whole returns an identifier that must not be truncated, or "" if it is too long. It
// may be unprintable.
func whole(name string, most int) string {
	if len(name) > most || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return name
}

// clean truncates text that a client may have chosen, and keeps only printable characters.
func clean(text string, most int) string {
	text = strings.ToValidUTF8(text[:min(len(text), most)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}
