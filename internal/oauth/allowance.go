package oauth

import (
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/session"
)

// What one user makes the store keep is bounded: so much in an hour, all of it at
// once where that is wished, and then as it comes back evenly. Nobody who means
// well comes near it, and whoever is beyond it loses nothing but time.
const (
	allowanceEvery = time.Hour

	// leastGrants is how many grants a user has at least in an hour, and
	// grantsPerCode how many for each code that a session may have waiting. All
	// that is stored of a grant for longer than a code lives comes after it is
	// counted: the marker of its code, what lasts, and the mark of its end.
	leastGrants   = 640
	grantsPerCode = 10

	// leastSignIns and signInsPerSession are the same for sign-ins, each of which
	// leaves a mark that it was finished.
	leastSignIns      = 256
	signInsPerSession = 4
)

func (s *Server) grantAllowance(u session.User) attemptlimit.Limit {
	return attemptlimit.Limit{Key: "grants " + u.Subject, N: max(leastGrants, grantsPerCode*s.Limits.PerSession), Every: allowanceEvery}
}

// beginGrant takes part in the count of a user's grants. Either done is set, which
// has to be told whether there is a grant, or the refusal.
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

// CountConsent counts an answer on the consent page, which leaves a mark, as
// sign-ins are counted.
func (s *Server) CountConsent(in SignedIn, c *Client, from Origin) *Error {
	if s.Allowance == nil {
		return nil
	}
	wait := s.Allowance.Made(s.Now(), attemptlimit.Limit{Key: "consents " + in.User.Subject, N: leastSignIns, Every: allowanceEvery}, true)
	if wait == 0 {
		return nil
	}
	s.Audit.Record(Event{What: SignInLimited, User: in.User, Client: c, From: from, Why: "the user has answered too often within an hour what applications ask for"})
	return &Error{Kind: TooManyAttempts, Description: "Too many attempts.", RetryAfter: wait}
}

// CountSignIn counts a sign-in of a user who has proved who they are. It comes
// before anything is stored for it.
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
