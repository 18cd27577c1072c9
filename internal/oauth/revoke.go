package oauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// Revoke ends the grant of a refresh or access token for the client that it was
// issued to (RFC 7009). For an invalid or expired token it does nothing.
func (s *Server) Revoke(ctx context.Context, c *Client, token string, from Origin) *Error {
	grant, owner, refusal := s.revocable(ctx, token)
	switch {
	case refusal != nil:
		return refusal
	case owner == "":
		return nil
	case !constantTimeEqual(owner, c.ID):
		s.Audit.Record(Event{What: TokenRefused, Client: c, Grant: grant, From: from, Why: "revocation by another client"})
		return &Error{Kind: InvalidGrant, Description: "The token was issued to another client."}
	case grant == "":
		return &Error{Kind: UnsupportedTokenType, Description: "A token without a user, or one that was exchanged for another client's, cannot be revoked; it expires by itself."}
	}
	return s.endGrant(ctx, grant, Event{Client: c, From: from, Why: "revoked"})
}

// revocable finds the grant of a token and the client that it was issued to; "" for
// an invalid token. It does not matter whether the user may still sign in.
func (s *Server) revocable(ctx context.Context, token string) (grant, client string, refusal *Error) {
	refresh, err := s.openRefresh(ctx, token)
	if err == nil {
		stored, err := s.Grants.offline(ctx, refresh.grant)
		if err != nil {
			return "", "", Unavailable(err)
		}
		if stored == nil {
			return "", "", nil
		}
		return refresh.grant, stored.Client, nil
	}
	if !errors.Is(err, keys.ErrSealed) {
		return "", "", Unavailable(err)
	}
	c, refusal := s.openAccess(ctx, token)
	switch {
	case refusal != nil && refusal.Kind != InvalidToken:
		return "", "", refusal
	case refusal != nil || !constantTimeEqual(c.Issuer, s.Issuer) || c.Expires <= s.Now().Unix():
		return "", "", nil
	}
	if c.Actor != (Actor{}) { // the grant belongs to the other client
		return "", c.ClientID, nil
	}
	return c.Grant, c.ClientID, nil
}

func (s *Server) endGrant(ctx context.Context, grant string, e Event) *Error {
	if err := s.Grants.End(ctx, grant); err != nil {
		return Unavailable(err)
	}
	e.What, e.Grant = GrantEnded, grant
	s.Audit.Record(e)
	return nil
}

// SignOutByToken ends the SSO session of an access token. The session may have ended
// before. The token must belong to the client that the user signed in to.
func (s *Server) SignOutByToken(ctx context.Context, v *Verified, from Origin) *Error {
	if v.Claims.Grant == "" || v.Claims.Actor != (Actor{}) {
		return s.refuseSignOut(v, from)
	}
	key, _ := parseSessionID(v.Claims.SessionID)
	if err := s.Sessions.End(ctx, key); err != nil {
		return Unavailable(fmt.Errorf("ending session: %w", err))
	}
	s.Audit.Record(Event{What: SessionEnded, User: v.User, Client: v.Client, Session: v.Session, From: from})
	return nil
}

// SignOutEverywhere ends all sessions and grants of an access token's user. It tries
// every part. The session and grant of the token itself end last, so that the request
// can be repeated if something could not be ended; after that, grants that began
// meanwhile. Because it affects more than the token's own session, the token must be
// for its own client: a token for another audience is refused.
func (s *Server) SignOutEverywhere(ctx context.Context, v *Verified, from Origin) *Error {
	if v.Claims.Grant == "" || v.Claims.Actor != (Actor{}) || !v.ForItsClient() {
		return s.refuseSignOut(v, from)
	}
	grants, grantsErr := s.endOtherGrants(ctx, v.User, v.Claims.Grant)
	key, _ := parseSessionID(v.Claims.SessionID)
	sessions, err := s.endOthers(ctx, v.User, key)
	if err := errors.Join(grantsErr, err); err != nil {
		return Unavailable(fmt.Errorf("signing out everywhere: %w", err))
	}
	if refusal := s.SignOutByToken(ctx, v, from); refusal != nil {
		return refusal
	}
	if refusal := s.endGrant(ctx, v.Claims.Grant, Event{User: v.User, Client: v.Client, From: from, Why: "signed out everywhere"}); refusal != nil {
		return refusal
	}
	begun, err := s.endOtherGrants(ctx, v.User, "")
	if err != nil {
		return Unavailable(fmt.Errorf("ending grants: %w", err))
	}
	s.Audit.Record(Event{
		What: SessionEnded, User: session.User{Name: v.User.Name, Subject: v.User.Subject}, Client: v.Client, From: from,
		Why: fmt.Sprintf("signed out everywhere: %d other sessions and %d other persistent grants", len(sessions), grants+begun),
	})
	return nil
}

func (s *Server) refuseSignOut(v *Verified, from Origin) *Error {
	s.Audit.Record(Event{
		What: TokenRefused, User: v.User, Client: v.Client, Session: v.Session, Grant: v.Claims.Grant, From: from,
		Why: "sign-out with a token that is not for it",
	})
	return ForeignToken()
}
