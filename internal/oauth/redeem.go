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
	IDToken     bool // [Server.ExchangeCode] adds an ID token if the scope openid was granted
	From        Origin
}

// Redeemed is the result of a redemption.
type Redeemed struct {
	SignedIn
	Record *codes.Record
}

// RedemptionGrace is how long a redemption may be repeated without harm. A page that
// runs twice, a double click, or an HTTP client that repeats a request must not end
// the grant of the first redemption.
const RedemptionGrace = 10 * time.Second

// RedeemCode redeems a code, once. A request that does not match the bindings of the
// code is refused, and the code stays valid. A second redemption ends the grant of
// the first one (RFC 9700 section 4.5), unless it comes within the grace from the
// same client.
func (s *Server) RedeemCode(ctx context.Context, r CodeRequest) (*Redeemed, *Error) {
	redeemed, refusal := s.redeem(ctx, r.Client, r.Code, r.From, r.mismatch)
	spent := (*codes.SpentError)(nil)
	if !errors.As(refusal.cause(), &spent) {
		return redeemed, refusal
	}
	if r.isRepeat(spent, s.Now()) {
		s.Audit.Record(Event{What: CodeRefused, Client: r.Client, Grant: spent.Grant, From: r.From, Why: "the same client has just redeemed it; its grant goes on"})
		return nil, invalidGrant(spent)
	}
	return nil, s.answerReplay(ctx, r.Client, spent, r.From)
}

// isRepeat reports whether a request for a spent code comes from the client that has
// just redeemed it: by the client's secret, which was verified, and by the verifier
// if the code has a challenge. The clock of another node may be a little ahead.
func (r CodeRequest) isRepeat(spent *codes.SpentError, now time.Time) bool {
	client := constantTimeEqual(spent.Client, r.Client.ID)
	verified := validVerifier(r.Verifier) && constantTimeEqual(spent.Challenge, Challenge(r.Verifier))
	switch {
	case spent.At == 0 || now.Sub(time.UnixMilli(spent.At)).Abs() > RedemptionGrace:
		return false
	case spent.Challenge == "":
		return client && !r.Client.Public
	}
	return client && verified
}

// redeem spends a code, unless mismatch returns a reason to refuse the request.
func (s *Server) redeem(ctx context.Context, client *Client, code string, from Origin, mismatch func(*codes.Record) string) (*Redeemed, *Error) {
	var in SignedIn
	done := func(bool) {}
	record, err := s.Codes.Redeem(ctx, code, func(rec *codes.Record) error {
		if why := mismatch(rec); why != "" {
			return &refusedError{why}
		}
		sess, err := s.Sessions.Lookup(ctx, session.Key(rec.Session))
		if err != nil {
			return err
		}
		if in, err = s.current(sess); err != nil {
			return err
		}
		if err := s.checkNotWithdrawn(ctx, client, in.User); err != nil {
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
	refused, spent, tooMany := (*refusedError)(nil), (*codes.SpentError)(nil), (*Error)(nil)
	switch {
	case err == nil:
		s.Audit.Record(Event{What: CodeRedeemed, User: in.User, Client: client, Session: in.Session, Grant: record.Grant, From: from})
		return &Redeemed{SignedIn: in, Record: record}, nil
	case errors.As(err, &refused):
		return refusedFor(refused.why)
	case errors.Is(err, session.ErrNone):
		return refusedFor("its session has ended")
	case errors.Is(err, errWithdrawn):
		return refusedFor("its user has withdrawn the consent")
	case errors.Is(err, codes.ErrUnknown):
		return refusedFor("unknown or expired")
	case errors.As(err, &spent):
		return nil, invalidGrant(err)
	case errors.As(err, &tooMany):
		return nil, tooMany
	}
	return nil, Unavailable(err)
}

// answerReplay answers a second redemption. It ends the grant only if the code's own
// client sent it.
func (s *Server) answerReplay(ctx context.Context, client *Client, spent *codes.SpentError, from Origin) *Error {
	s.Audit.Record(Event{What: CodeReused, Client: client, Grant: spent.Grant, From: from})
	if !constantTimeEqual(spent.Client, client.ID) {
		return invalidGrant(spent)
	}
	if err := s.Grants.End(ctx, spent.Grant); err != nil {
		return Unavailable(err)
	}
	s.Audit.Record(Event{What: GrantEnded, Client: client, Grant: spent.Grant, From: from, Why: "its code was used twice"})
	return invalidGrant(spent)
}

// DiscardCode removes a code without its verifier. A gate, which is a client in this
// process, calls it for a code that it did not ask for: a live code counts against
// the user's limit. It ends no grant. If it fails, the code expires by itself.
func (s *Server) DiscardCode(ctx context.Context, r CodeRequest, why string) {
	record, err := s.Codes.Discard(ctx, r.Code, func(rec *codes.Record) error {
		client, redirect := constantTimeEqual(rec.Client, r.Client.ID), constantTimeEqual(rec.RedirectURI, r.RedirectURI)
		if !client || !redirect {
			return &refusedError{"not of this client and redirect_uri"}
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

// mismatch compares a request with the bindings of its code, and returns the first difference; "" if there is none. It makes all comparisons,
// each in constant time.
func (r CodeRequest) mismatch(rec *codes.Record) string {
	client := constantTimeEqual(rec.Client, r.Client.ID)
	redirect := constantTimeEqual(rec.RedirectURI, r.RedirectURI)
	challenge := constantTimeEqual(rec.Challenge, Challenge(r.Verifier))
	switch {
	case !client:
		return "issued to another client"
	case !redirect:
		return "issued for another redirect_uri"
	case rec.Product != "":
		return "issued for the activation of a license"
	case rec.Challenge == "" && r.Verifier != "":
		// RFC 9700 section 2.1.1: otherwise an attacker could remove the challenge.
		return "code_verifier without code_challenge"
	case rec.Challenge == "" && r.Client.Public && !r.Client.AllowNoPKCE:
		return "issued without code_challenge"
	case rec.Challenge != "" && (!validVerifier(r.Verifier) || !challenge):
		return "code_verifier does not match"
	}
	return ""
}

type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

func invalidGrant(cause error) *Error {
	return &Error{Kind: InvalidGrant, Description: "The code is invalid, expired, used already, or was issued for another client or redirect_uri.", Cause: cause}
}
