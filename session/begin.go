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
	// beginTimeout bounds a sign-in. It is shorter than settling, so that no
	// session is stored that could have been taken off its user's list as dead.
	beginTimeout = 30 * time.Second

	longestAvatar = 512
	longestAgent  = 128
	longestFrom   = 64

	longestProviderID = 255 // OpenID Connect Core section 2
	longestMark       = 64
)

// A SignIn is what a session begins with.
type SignIn struct {
	User User

	// Agent is what the browser calls itself, and From the client's address, by
	// which people recognise their sessions. Either may be empty; they are cut
	// and cleaned.
	Agent string
	From  string

	// Upstream is what the session keeps of the provider's, but for Asked.
	Upstream ProviderSession

	// Replaces is a session that the caller ends after this one has begun, and
	// so takes no place among the user's. The zero Key is none.
	Replaces Key

	// Ended, if not nil, is told of every session that ended because the user
	// has too many, also where the sign-in fails after that.
	Ended func(*Session)
}

// Begin signs a user in: it stores a new session, under a token that nobody has
// seen before. Beyond [Policy].PerUser, the user's oldest sessions end. After
// an error there is no token, and no session to be had.
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
	if whole(u.Mark, longestMark) != u.Mark { // without it, no later credential would end the session
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
		ProviderID: whole(u.ProviderID, longestProviderID), Linked: u.Linked, Mark: u.Mark, Registered: u.Registered, Upstream: in.Upstream.begun(now),
		Begun: now, Seen: now, Expires: now + s.terms.lifetime, Idle: s.terms.idle,
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

// put stores a session that is on its user's list. Sign-ins that began later
// may have ended it before it was stored; whoever comes from here on finds it.
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

// withdraw removes a session whose token nobody gets, as far as that works.
func (s *Sessions) withdraw(ctx context.Context, begun *Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), extendTimeout)
	defer cancel()
	if _, _, err := s.cache.store.Take(ctx, begun.key.in(sessionPrefix)); err != nil {
		s.cache.logger("session "+begun.ID(), err)
	}
	s.delist(ctx, begun.User().Subject, begun.key)
}

// whole is a name that identifies somebody, and so may not be cut, or "" where it
// cannot be kept. Nobody has to be able to print it.
func whole(name string, most int) string {
	if len(name) > most || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return name
}

// clean cuts text that anybody may have written, and leaves what can be printed.
func clean(text string, most int) string {
	text = strings.ToValidUTF8(text[:min(len(text), most)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}
