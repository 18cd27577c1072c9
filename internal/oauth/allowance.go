package oauth

import (
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/session"
)

// The number of records that a user can create is limited for each hour. A user may
// use up the limit at once; it refills evenly. It is far above normal use, and a user
// beyond it only has to wait.
const (
	allowanceEvery = time.Hour

	// leastGrants is the lowest limit of grants in an hour, and grantsPerCode the
	// number of grants for each code that a session may have. A grant is counted
	// before anything is stored for longer than a code: the marker of its code, a
	// persistent grant, and the mark that it has ended.
	leastGrants   = 640
	grantsPerCode = 10

	// leastSignIns and signInsPerSession are the same for sign-ins. Each leaves a
	// mark that it is finished.
	leastSignIns      = 256
	signInsPerSession = 4
)

func (s *Server) grantAllowance(u session.User) attemptlimit.Limit {
	return attemptlimit.Limit{Key: "grants " + u.Subject, N: max(leastGrants, grantsPerCode*s.Limits.PerSession), Every: allowanceEvery}
}

// beginGrant counts a grant of a user. It returns either done, which the caller must
// call with whether there is a grant, or a refusal.
func (s *Server) beginGrant(u session.User, c *Client, from Origin) (done func(begun bool), refusal *Error) {
	if s.Allowance == nil {
		return func(bool) {}, nil
	}
	made, wait := s.Allowance.Begin(s.Now(), s.grantAllowance(u))
	if made == nil {
		s.Audit.Record(Event{What: CodesExhausted, User: u, Client: c, From: from, Why: "the user was given too many grants within an hour"})
		return nil, &Error{Kind: TooManyCodes, Description: "The user was given too many tokens within an hour.", RetryAfter: wait}
	}
	return func(begun bool) { made(s.Now(), begun) }, nil
}

// CountConsent counts an answer of the consent page, which leaves a mark, with the
// limit of sign-ins.
func (s *Server) CountConsent(in SignedIn, c *Client, from Origin) *Error {
	if s.Allowance == nil {
		return nil
	}
	wait := s.Allowance.Made(s.Now(), attemptlimit.Limit{Key: "consents " + in.User.Subject, N: leastSignIns, Every: allowanceEvery}, true)
	if wait == 0 {
		return nil
	}
	s.Audit.Record(Event{What: SignInLimited, User: in.User, Client: c, From: from, Why: "the user has answered the consent page too often within an hour"})
	return &Error{Kind: TooManyAttempts, Description: "Too many attempts.", RetryAfter: wait}
}

// CountSignIn counts a sign-in whose first factor was right. Call it before anything
// is stored for the sign-in.
func (s *Server) CountSignIn(u session.User, c *Client, from Origin) *Error {
	if s.Allowance == nil {
		return nil
	}
	wait := s.Allowance.Made(s.Now(), attemptlimit.Limit{
		Key: "sign-ins " + u.Subject, N: max(leastSignIns, signInsPerSession*s.Sessions.PerUser()), Every: allowanceEvery,
	}, true)
	if wait == 0 {
		return nil
	}
	s.Audit.Record(Event{What: SignInLimited, User: u, Client: c, From: from, Why: "the user has signed in too often within an hour"})
	return &Error{Kind: TooManyAttempts, Description: "Too many attempts.", RetryAfter: wait}
}
