package oauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// Revoke ends the grant of a refresh or access token for the client that it was
// issued to (RFC 7009). Of a token that is none, or counts no longer, there is
// nothing to end.
func (s *Server) Revoke(ctx context.Context, c *Client, token string, from Origin) *Error {
	grant, owner, refusal := s.revocable(ctx, token)
	switch {
	case refusal != nil:
		return refusal
	case owner == "":
		return nil
	case !same(owner, c.ID):
		s.Audit.Record(Event{What: TokenRefused, Client: c, Grant: grant, From: from, Why: "revocation by another client"})
		return &Error{Kind: InvalidGrant, Description: "The token was issued to another client."}
	case grant == "":
		return invalid("A token without a user cannot be revoked; it expires by itself.")
	}
	return s.endGrant(ctx, grant, Event{Client: c, From: from, Why: "revoked"})
}

// revocable finds the grant of a token and the client that it was issued to, ""
// for a token that counts for nothing. Whether its user may still sign in does
// not matter here.
func (s *Server) revocable(ctx context.Context, token string) (grant, client string, refusal *Error) {
	refresh, err := s.openRefresh(ctx, token)
	if err == nil {
		stored, err := s.Grants.offline(ctx, refresh.grant)
		if err != nil {
			return "", "", unavailable(err)
		}
		if stored == nil {
			return "", "", nil
		}
		return refresh.grant, stored.Client, nil
	}
	if !errors.Is(err, keys.ErrSealed) {
		return "", "", unavailable(err)
	}
	c, refusal := s.openAccess(ctx, token)
	switch {
	case refusal != nil && refusal.Kind != InvalidToken:
		return "", "", refusal
	case refusal != nil || !same(c.Issuer, s.Issuer) || c.Expires <= s.Now().Unix():
		return "", "", nil
	}
	return c.Grant, c.ClientID, nil
}

func (s *Server) endGrant(ctx context.Context, grant string, e Event) *Error {
	if err := s.Grants.End(ctx, grant); err != nil {
		return unavailable(err)
	}
	e.What, e.Grant = GrantEnded, grant
	s.Audit.Record(e)
	return nil
}

// SignOutByToken ends the SSO session of an access token's user, which may have
// ended before.
func (s *Server) SignOutByToken(ctx context.Context, v *Verified, from Origin) *Error {
	key, _ := parseSessionID(v.Claims.SessionID)
	if err := s.Sessions.End(ctx, key); err != nil {
		return unavailable(fmt.Errorf("ending session: %w", err))
	}
	s.Audit.Record(Event{What: SessionEnded, User: v.User, Client: v.Client, Session: v.Session, From: from})
	return nil
}

// SignOutEverywhere ends all sessions of an access token's user, and all grants:
// none of their tokens counts any more. Sessions come first, so that no code of
// theirs becomes a grant meanwhile.
func (s *Server) SignOutEverywhere(ctx context.Context, v *Verified, from Origin) *Error {
	sessions, err := s.Sessions.EndUser(ctx, v.User.Subject)
	if err != nil {
		return unavailable(fmt.Errorf("ending sessions: %w", err))
	}
	// This one, though no list may have it.
	if refusal := s.SignOutByToken(ctx, v, from); refusal != nil {
		return refusal
	}
	if refusal := s.endGrant(ctx, v.Claims.Grant, Event{User: v.User, Client: v.Client, From: from, Why: "signed out everywhere"}); refusal != nil {
		return refusal
	}
	grants, err := s.Grants.EndUser(ctx, v.User.Subject)
	if err != nil {
		return unavailable(fmt.Errorf("ending grants: %w", err))
	}
	s.Audit.Record(Event{
		What: SessionEnded, User: session.User{Name: v.User.Name, Subject: v.User.Subject}, Client: v.Client, From: from,
		Why: fmt.Sprintf("signed out everywhere: %d sessions and %d lasting grants", sessions, grants),
	})
	return nil
}
