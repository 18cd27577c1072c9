package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/session"
)

// A CodeRequest redeems an authorization code (RFC 6749 section 4.1.3).
type CodeRequest struct {
	Client      *Client // authenticated
	Code        string
	RedirectURI string
	Verifier    string
	IDToken     bool // [Server.ExchangeCode] adds one, where scope openid was granted
	From        Origin
}

// Redeemed is what a code stood for.
type Redeemed struct {
	SignedIn
	Record *codes.Record
}

// RedemptionGrace is for how long a redemption may come twice without harm: a
// page that runs twice, a double click, and an HTTP client that sends again what
// got no answer must not end the grant that the first of them was given.
const RedemptionGrace = 10 * time.Second

// RedeemCode redeems a code, once. Whoever presents a code without what it is
// bound to is refused, and loses nothing for its owner. A second redemption
// ends the grant that the first gave (RFC 9700 section 4.5), unless it comes
// within the grace and of the same client.
func (s *Server) RedeemCode(ctx context.Context, r CodeRequest) (*Redeemed, *Error) {
	redeemed, refusal := s.redeem(ctx, r.Client, r.Code, r.From, r.unbound)
	spent := (*codes.SpentError)(nil)
	if !errors.As(refusal.cause(), &spent) {
		return redeemed, refusal
	}
	if r.repeats(spent, s.Now()) {
		s.Audit.Record(Event{What: CodeRefused, Client: r.Client, Grant: spent.Grant, From: r.From, Why: "redeemed a moment ago by the same client, whose grant goes on"})
		return nil, invalidGrant(spent)
	}
	return nil, s.replayed(ctx, r.Client, spent, r.From)
}

// repeats says whether a request for a spent code proves that it comes of the
// client that redeemed it a moment ago: by the client's secret, which was looked
// at, and by the verifier where the code has a challenge. The clock of another
// node may be a little ahead.
func (r CodeRequest) repeats(spent *codes.SpentError, now time.Time) bool {
	client := same(spent.Client, r.Client.ID)
	verified := validVerifier(r.Verifier) && same(spent.Challenge, Challenge(r.Verifier))
	switch {
	case spent.At == 0 || now.Sub(time.UnixMilli(spent.At)).Abs() > RedemptionGrace:
		return false
	case spent.Challenge == "":
		return client && !r.Client.Public
	}
	return client && verified
}

// redeem spends a code of which unbound says nothing against the request.
func (s *Server) redeem(ctx context.Context, client *Client, code string, from Origin, unbound func(*codes.Record) string) (*Redeemed, *Error) {
	var in SignedIn
	done := func(bool) {}
	record, err := s.Codes.Redeem(ctx, code, func(rec *codes.Record) error {
		if why := unbound(rec); why != "" {
			return &unboundError{why}
		}
		sess, err := s.Sessions.Lookup(ctx, session.Key(rec.Session))
		if err != nil {
			return err
		}
		if in, err = s.current(sess); err != nil {
			return err
		}
		if err := s.stillAllowed(ctx, client, in.User); err != nil {
			return err
		}
		begun, refusal := s.beginGrant(in.User, client, from)
		if refusal != nil {
			return refusal
		}
		done = begun
		return nil
	})
	done(err == nil)

	refusedFor := func(why string) (*Redeemed, *Error) {
		s.Audit.Record(Event{What: CodeRefused, Client: client, From: from, Why: why})
		return nil, invalidGrant(err)
	}
	refused, spent, tooMany := (*unboundError)(nil), (*codes.SpentError)(nil), (*Error)(nil)
	switch {
	case err == nil:
		s.Audit.Record(Event{What: CodeRedeemed, User: in.User, Client: client, Session: in.Session, Grant: record.Grant, From: from})
		return &Redeemed{SignedIn: in, Record: record}, nil
	case errors.As(err, &refused):
		return refusedFor(refused.why)
	case errors.Is(err, session.ErrNone):
		return refusedFor("its session has ended")
	case errors.Is(err, errWithdrawn):
		return refusedFor("its user has withdrawn what they allowed the client")
	case errors.Is(err, codes.ErrUnknown):
		return refusedFor("unknown or expired")
	case errors.As(err, &spent):
		return nil, invalidGrant(err)
	case errors.As(err, &tooMany):
		return nil, tooMany
	}
	return nil, Unavailable(err)
}

// replayed answers a second redemption. Only the client that the code was for
// can end the grant with it.
func (s *Server) replayed(ctx context.Context, client *Client, spent *codes.SpentError, from Origin) *Error {
	s.Audit.Record(Event{What: CodeReused, Client: client, Grant: spent.Grant, From: from})
	if !same(spent.Client, client.ID) {
		return invalidGrant(spent)
	}
	if err := s.Grants.End(ctx, spent.Grant); err != nil {
		return Unavailable(err)
	}
	s.Audit.Record(Event{What: GrantEnded, Client: client, Grant: spent.Grant, From: from, Why: "its code was used twice"})
	return invalidGrant(spent)
}

// DiscardCode removes a code that nobody is to redeem, without its verifier. It
// is for a client that lives in this process and was sent a code that it did
// not ask for: left alive, it would use up what its user may have. It ends no
// grant. Where it cannot be done, the code expires by itself.
func (s *Server) DiscardCode(ctx context.Context, r CodeRequest, why string) {
	record, err := s.Codes.Discard(ctx, r.Code, func(rec *codes.Record) error {
		client, redirect := same(rec.Client, r.Client.ID), same(rec.RedirectURI, r.RedirectURI)
		if !client || !redirect {
			return &unboundError{"not of this client and redirect_uri"}
		}
		return nil
	})
	if err == nil {
		s.Audit.Record(Event{
			What: CodeRefused, User: session.User{Subject: record.Subject}, Client: r.Client, Grant: record.Grant, From: r.From,
			Why: "discarded: " + why,
		})
	}
}

// unbound compares a request with what its code is bound to. All comparisons
// are made, each in constant time.
func (r CodeRequest) unbound(rec *codes.Record) string {
	client := same(rec.Client, r.Client.ID)
	redirect := same(rec.RedirectURI, r.RedirectURI)
	challenge := same(rec.Challenge, Challenge(r.Verifier))
	switch {
	case !client:
		return "issued to another client"
	case !redirect:
		return "issued for another redirect_uri"
	case rec.Product != "":
		return "issued for the activation of a license"
	case rec.Challenge == "" && r.Verifier != "":
		// RFC 9700 section 2.1.1: else an attacker could strip the challenge.
		return "code_verifier without code_challenge"
	case rec.Challenge == "" && r.Client.Public && !r.Client.AllowNoPKCE:
		return "issued without code_challenge"
	case rec.Challenge != "" && (!validVerifier(r.Verifier) || !challenge):
		return "code_verifier does not match"
	}
	return ""
}

type unboundError struct{ why string }

func (e *unboundError) Error() string { return e.why }

func invalidGrant(cause error) *Error {
	return &Error{Kind: InvalidGrant, Description: "The code is invalid, expired, used already, or was issued for another client or redirect_uri.", Cause: cause}
}
