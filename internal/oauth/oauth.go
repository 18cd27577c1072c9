package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A Server is the authorization server of one configuration. Its fields are set once,
// before the first request.
type Server struct {
	// Issuer is the portal's public origin, without a trailing slash: the `iss` of
	// every token.
	Issuer string

	Clients      *Clients
	Licenses     *Licenses // nil: no licensed software
	Sessions     *session.Sessions
	Codes        *codes.Codes
	Limits       codes.Limits
	Keys         *keys.Ring
	Grants       *Grants
	Verified     *VerifiedTokens // nil: every token is verified each time
	Users        Users
	Named        func(name string) []session.User // the users that the configuration knows by a name; nil: none
	IsProvider   func(signin string) bool         // whether a sign-in method is a provider; nil: none is
	MethodUserID func(session.User) string        // the ID of a user at the sign-in method; nil: the ProviderID
	Store        storage.Store                    // used links, taken seats, first sign-ins
	Secrets      *attemptlimit.Limiter            // wrong secrets of clients
	Audit        *Audit
	Now          func() time.Time

	// LeftOut logs scopes that are requested and not granted. Nil: no log.
	DroppedScopes *DroppedScopes

	// Stamp returns the `iat` of tokens, which others compare with their own clocks.
	// Default: Now.
	Stamp func() time.Time

	// OtherSubject returns another subject under which the same user may have
	// sessions and grants; "" for none. Nil: no user has one.
	OtherSubject func(session.User) string

	// Allowance limits the grants and sign-ins of each user. Nil: no limits.
	Allowance *attemptlimit.Limiter
}

// Users knows the users that may sign in, by the current configuration.
type Users interface {
	// Current returns the current data of a user who signed in earlier: groups may
	// have changed. It returns false if the user is disabled or removed, or the
	// sign-in method is not configured any more.
	Current(session.User) (session.User, bool)
}

// SignedIn is a live session and the current data of its user.
type SignedIn struct {
	Session *session.Session
	User    session.User
}

// SignedIn checks the SSO session of a cookie. Without a session the error is
// [session.ErrNone]. If the store does not answer, it is another error, so that no
// user counts as signed out.
func (s *Server) SignedIn(ctx context.Context, cookie string) (SignedIn, error) {
	sess, err := s.Sessions.Check(ctx, cookie)
	if err != nil {
		return SignedIn{}, err
	}
	return s.current(sess)
}

// SignedInAtSite is SignedIn for the site session of a client.
func (s *Server) SignedInAtSite(ctx context.Context, cookie, client string) (SignedIn, error) {
	sess, err := s.Sessions.CheckSite(ctx, cookie, client)
	if err != nil {
		return SignedIn{}, err
	}
	return s.current(sess)
}

func (s *Server) current(sess *session.Session) (SignedIn, error) {
	u, ok := s.Users.Current(sess.User())
	if !ok {
		return SignedIn{}, session.ErrNone
	}
	return SignedIn{Session: sess, User: u}, nil
}

// subjects returns the subjects under which a user may have sessions and grants, the current one first.
func (s *Server) subjects(u session.User) []string {
	if s.OtherSubject != nil {
		if other := s.OtherSubject(u); other != "" {
			return []string{u.Subject, other}
		}
	}
	return []string{u.Subject}
}

// LiveSessions returns the sessions of the signed-in user, the latest first. It
// leaves out sessions that are not valid, such as those of another password, since
// they may belong to another person who had the name before.
func (s *Server) LiveSessions(ctx context.Context, in SignedIn) ([]*session.Session, error) {
	subjects := s.subjects(in.User)
	var all []*session.Session
	for _, subject := range subjects {
		some, err := s.Sessions.OfUser(ctx, subject)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	if len(subjects) > 1 {
		slices.SortStableFunc(all, func(a, b *session.Session) int { return b.Begun().Compare(a.Begun()) })
	}
	return slices.DeleteFunc(all, func(sess *session.Session) bool {
		_, current := s.Users.Current(sess.User())
		return !current
	}), nil
}

// EndSession ends an SSO session with its site sessions and requests.
func (s *Server) EndSession(ctx context.Context, in SignedIn, from Origin) error {
	if err := s.Sessions.End(ctx, in.Session.Key()); err != nil {
		return fmt.Errorf("ending session: %w", err)
	}
	s.Audit.Record(Event{What: SessionEnded, User: in.User, Session: in.Session, From: from})
	return nil
}

// SignOut ends the SSO session of a cookie, even if its user is disabled or removed,
// since the user may be added again. Without a session it does nothing.
func (s *Server) SignOut(ctx context.Context, cookie string, from Origin) error {
	sess, err := s.Sessions.Check(ctx, cookie)
	return s.signOut(ctx, sess, err, from)
}

// SignOutAtSite is SignOut for the site session of a client. It reports whether there
// was one: if not, the browser may have an SSO session that this site does not know.
func (s *Server) SignOutAtSite(ctx context.Context, cookie, client string, from Origin) (ended bool, err error) {
	sess, err := s.Sessions.CheckSite(ctx, cookie, client)
	return err == nil, s.signOut(ctx, sess, err, from)
}

func (s *Server) signOut(ctx context.Context, sess *session.Session, err error, from Origin) error {
	if errors.Is(err, session.ErrNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signing out: %w", err)
	}
	return s.EndSession(ctx, SignedIn{Session: sess, User: sess.User()}, from)
}
