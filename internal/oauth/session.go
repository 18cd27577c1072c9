package oauth

import (
	"context"
	"errors"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
)

// BeginSession begins an SSO session. The one that the browser had before, if
// its cookie names one, ends: its cookie is about to be replaced, so nobody
// could sign out of it.
func (s *Server) BeginSession(ctx context.Context, in session.SignIn, before string) (session.Token, *session.Session, error) {
	replaced, err := s.Sessions.Check(ctx, before)
	if errors.Is(err, records.ErrVersion) {
		return session.Token{}, nil, err // its cookie stays
	}
	if err != nil {
		replaced = nil // a store that does not answer will not take the new one either
	}
	if replaced != nil {
		in.Replaces = replaced.Key()
	}
	in.Ended = func(old *session.Session) {
		s.Audit.Record(Event{
			What: SessionEnded, User: old.User(), Session: old, From: Origin(in.From), Why: "the user has too many sessions",
		})
	}
	if err := s.noteName(ctx, in.User, s.Sessions.Lifetime()); err != nil {
		return session.Token{}, nil, err
	}
	token, begun, err := s.Sessions.Begin(ctx, in)
	if err != nil {
		return session.Token{}, nil, err
	}
	if replaced == nil {
		return token, begun, nil
	}
	if err := s.EndSession(ctx, SignedIn{Session: replaced, User: replaced.User()}, Origin(in.From)); err != nil {
		// Nobody gets its token.
		return session.Token{}, nil, errors.Join(err, s.Sessions.End(ctx, begun.Key()))
	}
	return token, begun, nil
}
