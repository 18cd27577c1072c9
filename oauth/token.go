package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
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
	From        Origin
}

// Redeemed is what a code stood for.
type Redeemed struct {
	SignedIn
	Record *codes.Record
}

// RedeemCode redeems a code, once. Whoever presents a code without what it is
// bound to is refused, and loses nothing for its owner. A second redemption
// ends the grant that the first gave (RFC 9700 section 4.5).
func (s *Server) RedeemCode(ctx context.Context, r CodeRequest) (*Redeemed, *Error) {
	var in SignedIn
	record, err := s.Codes.Redeem(ctx, r.Code, func(rec *codes.Record) error {
		if why := r.unbound(rec); why != "" {
			return &unboundError{why}
		}
		sess, err := s.Sessions.Lookup(ctx, session.Key(rec.Session))
		if err != nil {
			return err
		}
		in, err = s.current(sess)
		return err
	})

	var (
		refused *unboundError
		spent   *codes.SpentError
	)
	switch {
	case err == nil:
		s.Audit.Record(Event{What: CodeRedeemed, User: in.User, Client: r.Client, Session: in.Session, Grant: record.Grant, From: r.From})
		return &Redeemed{SignedIn: in, Record: record}, nil
	case errors.As(err, &refused):
		s.Audit.Record(Event{What: CodeRefused, Client: r.Client, From: r.From, Why: refused.why})
		return nil, invalidGrant(err)
	case errors.Is(err, session.ErrNone):
		s.Audit.Record(Event{What: CodeRefused, Client: r.Client, From: r.From, Why: "its session has ended"})
		return nil, invalidGrant(err)
	case errors.As(err, &spent):
		return nil, s.replayed(ctx, r, spent)
	case errors.Is(err, codes.ErrUnknown):
		s.Audit.Record(Event{What: CodeRefused, Client: r.Client, From: r.From, Why: "unknown or expired"})
		return nil, invalidGrant(err)
	}
	return nil, unavailable(err)
}

// replayed answers a second redemption. Only the client that the code was for
// can end the grant with it.
func (s *Server) replayed(ctx context.Context, r CodeRequest, spent *codes.SpentError) *Error {
	s.Audit.Record(Event{What: CodeReused, Client: r.Client, Grant: spent.Grant, From: r.From})
	if !same(spent.Client, r.Client.ID) {
		return invalidGrant(spent)
	}
	if err := s.Grants.End(ctx, spent.Grant); err != nil {
		return unavailable(err)
	}
	s.Audit.Record(Event{What: GrantEnded, Client: r.Client, Grant: spent.Grant, From: r.From, Why: "its code was used twice"})
	return invalidGrant(spent)
}

// DiscardCode spends a code that nobody is to redeem, without its verifier. It
// is for a client that lives in this process and was sent a code that it did
// not ask for: left alive, it would use up what its user may have. It ends no
// grant. Where it cannot be done, the code expires by itself.
func (s *Server) DiscardCode(ctx context.Context, r CodeRequest, why string) {
	record, err := s.Codes.Redeem(ctx, r.Code, func(rec *codes.Record) error {
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

// AccessTokenLifetime is how long an access token is good for.
const AccessTokenLifetime = time.Hour

// Tokens is the answer of the token endpoint.
type Tokens struct {
	Access    string
	ExpiresIn time.Duration
}

// ExchangeCode redeems a code for an access token.
func (s *Server) ExchangeCode(ctx context.Context, r CodeRequest) (*Tokens, *Error) {
	// A signing key that cannot be had must not cost the code.
	if err := s.Keys.Load(ctx); err != nil {
		return nil, unavailable(err)
	}
	redeemed, refusal := s.RedeemCode(ctx, r)
	if refusal != nil {
		return nil, refusal
	}
	token, err := s.Keys.Sign(ctx, r.Client.TokenAlg, s.claims(r.Client, redeemed))
	if err != nil {
		return nil, unavailable(err)
	}
	return &Tokens{Access: token, ExpiresIn: AccessTokenLifetime}, nil
}

// Claims are those of the Login API's user tokens. Grant and session are ours:
// they let an ended grant be refused before its tokens expire.
type Claims struct {
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Audience  []string     `json:"aud"`
	Expires   int64        `json:"exp"`
	IssuedAt  int64        `json:"iat"`
	ID        string       `json:"jti"`
	Scopes    []string     `json:"scp"`
	Groups    []GroupClaim `json:"groups"`
	Project   string       `json:"xsolla_login_project_id"`
	Username  string       `json:"username,omitempty"`
	Email     string       `json:"email,omitempty"`
	Grant     string       `json:"gid"`
	SessionID string       `json:"sid"`
}

// A GroupClaim is a group as the Login API's tokens have it.
type GroupClaim struct {
	ID        uint32 `json:"id"`
	Name      string `json:"name"`
	IsDefault bool   `json:"is_default"`
}

func (s *Server) claims(c *Client, r *Redeemed) Claims {
	now := s.Now()
	claims := Claims{
		Issuer:    s.Issuer,
		Subject:   r.User.Subject,
		Audience:  r.Record.Audience,
		Expires:   now.Add(AccessTokenLifetime).Unix(),
		IssuedAt:  now.Unix(),
		ID:        newID(),
		Scopes:    append([]string{}, r.Record.Scopes...),
		Groups:    groupClaims(r.User.Groups),
		Project:   c.ProjectID(),
		Username:  r.User.Name,
		Grant:     r.Record.Grant,
		SessionID: base64.RawURLEncoding.EncodeToString(r.Record.Session[:]),
	}
	if slices.Contains(r.Record.Scopes, "email") {
		claims.Email = r.User.Email
	}
	return claims
}

// groupClaims numbers groups by a hash of their names (FNV-1a), since the
// Login API has integers there and ours have only names: the number is the
// same on every node and after every restart.
func groupClaims(names []string) []GroupClaim {
	groups := make([]GroupClaim, 0, len(names))
	for i, name := range names {
		id := uint32(2166136261)
		for j := range len(name) {
			id = (id ^ uint32(name[j])) * 16777619
		}
		groups = append(groups, GroupClaim{ID: id, Name: name, IsDefault: i == 0})
	}
	return groups
}
