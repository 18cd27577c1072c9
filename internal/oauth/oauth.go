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

// A Server is the authorization server of one configuration. Its fields are
// set once, before the first request.
type Server struct {
	// Issuer is the portal's public origin, without a trailing slash; it
	// becomes the `iss` of every token.
	Issuer string

	Clients  *Clients
	Licenses *Licenses // nil: no licensed software
	Sessions *session.Sessions
	Codes    *codes.Codes
	Limits   codes.Limits
	Keys     *keys.Ring
	Grants   *Grants
	Verified *VerifiedTokens // nil: every token is verified anew
	Users    Users
	Named    func(name string) []session.User // whom the configuration may know by a name; nil: nobody
	Outside  func(signin string) bool         // whether a sign-in method is a provider elsewhere; nil: none is
	OwnID    func(session.User) string        // what the sign-in method calls a user; nil: their ProviderID
	Store    storage.Store                    // used links, taken seats, first sign-ins
	Secrets  *attemptlimit.Limiter            // wrong secrets of clients
	Audit    *Audit
	Now      func() time.Time

	// LeftOut is told of scopes that clients ask for and do not get; nil: nobody is.
	LeftOut *DroppedScopes

	// Stamp is the `iat` of tokens, which others hold against clocks of their own.
	// Default: Now.
	Stamp func() time.Time

	// OtherSubject is another subject that the same user has sessions and grants
	// under, "" for none; nil: nobody has.
	OtherSubject func(session.User) string

	// Allowance counts the grants and the sign-ins of each user; nil: nobody does.
	Allowance *attemptlimit.Limiter
}

// Users knows the people who may sign in, as the configuration of this moment
// has them.
type Users interface {
	// Current returns what is known now of a user who once signed in: groups
	// may have changed since. False means that the user is disabled, removed
	// or came by a sign-in method that is no longer there.
	Current(session.User) (session.User, bool)
}

// SignedIn is a live session and the user whom it stands for at this moment.
type SignedIn struct {
	Session *session.Session
	User    session.User
}

// SignedIn checks the SSO session that a cookie names. Without one it returns
// [session.ErrNone]; a store that does not answer is an error of its own, so
// that nobody is taken for signed out.
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

// subjects are those under which a user has sessions and grants, that of now first.
func (s *Server) subjects(u session.User) []string {
	if s.OtherSubject != nil {
		if other := s.OtherSubject(u); other != "" {
			return []string{u.Subject, other}
		}
	}
	return []string{u.Subject}
}

// LiveSessions returns the sessions of who is signed in, the latest first. It leaves
// out those that count for nobody, such as of another password: they may be of
// somebody who had the name before.
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

// EndSession ends an SSO session and all that hangs on it.
func (s *Server) EndSession(ctx context.Context, in SignedIn, from Origin) error {
	if err := s.Sessions.End(ctx, in.Session.Key()); err != nil {
		return fmt.Errorf("ending session: %w", err)
	}
	s.Audit.Record(Event{What: SessionEnded, User: in.User, Session: in.Session, From: from})
	return nil
}

// SignOut ends the SSO session that a cookie names, also that of a user who is
// disabled or gone, who might come back. Without one there is nothing to do.
func (s *Server) SignOut(ctx context.Context, cookie string, from Origin) error {
	sess, err := s.Sessions.Check(ctx, cookie)
	return s.signOut(ctx, sess, err, from)
}

// SignOutAtSite is SignOut for the site session of a client. It says whether
// there was one: where there was none, the browser may have another SSO session
// than the one that it came from.
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
