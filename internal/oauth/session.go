package oauth

import (
	"context"
	"errors"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
)

// BeginSession begins an SSO session. It ends the session of the browser's old
// cookie, which is about to be replaced, so that the user could not sign out of it
// any more.
func (s *Server) BeginSession(ctx context.Context, in session.SignIn, before string) (session.Token, *session.Session, error) {
	replaced, err := s.Sessions.Check(ctx, before)
	if errors.Is(err, records.ErrVersion) {
		return session.Token{}, nil, err // the old cookie stays
	}
	if err != nil {
		replaced = nil // a store that does not answer will not store the new session either
	}
	if replaced != nil {
		in.Replaces = replaced.Key()
	}
	in.Ended = func(old *session.Session) {
		s.Audit.Record(Event{
			What: SessionEnded, User: old.User(), Session: old, From: Origin(in.From), Why: "the user has too many sessions",
		})
	}
	if err := s.storeName(ctx, in.User, s.Sessions.Lifetime()); err != nil {
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
		// The token is not given to the browser.
		return session.Token{}, nil, errors.Join(err, s.Sessions.End(ctx, begun.Key()))
	}
	return token, begun, nil
}
