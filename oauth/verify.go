package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// ErrTokenExpired is the cause of an [InvalidToken] that was valid once.
var ErrTokenExpired = errors.New("the token has expired")

// A Verified is a token of ours that still counts.
type Verified struct {
	Claims Claims
	Client *Client

	// SignedIn is whose token it is: the zero value for a client's own token.
	// Session is nil where the grant has outlived it.
	SignedIn
}

// VerifyAccess checks an access token: that we signed it, that it has not
// expired, that its client may still have it and its grant has not ended. Whom
// it is meant for (`aud`) is the caller's to check.
func (s *Server) VerifyAccess(ctx context.Context, token string) (*Verified, *Error) {
	var claims struct {
		Claims
		Scopes *[]string `json:"scp"`
	}
	if refusal := s.openToken(ctx, token, &claims); refusal != nil {
		return nil, refusal
	}
	if claims.Scopes == nil {
		return nil, invalidToken(errors.New("not an access token"))
	}
	claims.Claims.Scopes = *claims.Scopes
	return s.verify(ctx, claims.Claims)
}

// A Hint is what an ID token of ours says when a client shows it to us: whom
// it is about, and in which session.
type Hint struct {
	Client  *Client
	Subject string
	Session session.Key
}

// IDTokenHint reads an ID token that a client shows as a hint. It may have
// expired (OpenID Connect RP-Initiated Logout section 2); it opens nothing.
func (s *Server) IDTokenHint(ctx context.Context, token string) (*Hint, *Error) {
	var claims struct {
		IDClaims
		Scopes *[]string `json:"scp"`
	}
	if refusal := s.openToken(ctx, token, &claims); refusal != nil {
		return nil, refusal
	}
	client, known := s.Clients.Get(claims.Audience)
	key, ok := parseSessionID(claims.SessionID)
	switch {
	case claims.Scopes != nil || !ok:
		return nil, invalidToken(errors.New("not an ID token"))
	case !same(claims.Issuer, s.Issuer):
		return nil, invalidToken(errors.New("of another issuer"))
	case !known || client.Disabled:
		return nil, invalidToken(errors.New("of a client that is gone or disabled"))
	}
	return &Hint{Client: client, Subject: claims.Subject, Session: key}, nil
}

// Names says whether a hint is about a session.
func (h *Hint) Names(sess *session.Session) bool {
	return h.Session == sess.Key() && same(h.Subject, sess.User().Subject)
}

// openToken checks a token's signature and reads its claims.
func (s *Server) openToken(ctx context.Context, token string, claims any) *Error {
	payload, err := s.Keys.Verify(ctx, token, s.Clients.Algorithms()...)
	if errors.Is(err, keys.ErrToken) {
		return invalidToken(err)
	}
	if err != nil {
		return unavailable(err)
	}
	if err := json.Unmarshal(payload, claims); err != nil {
		return invalidToken(errors.New("claims that are not ours"))
	}
	return nil
}

// verify checks what all tokens have in common.
func (s *Server) verify(ctx context.Context, c Claims) (*Verified, *Error) {
	client, known := s.Clients.Get(c.ClientID)
	now := s.Now()
	switch {
	case !same(c.Issuer, s.Issuer):
		return nil, invalidToken(errors.New("of another issuer"))
	case c.Expires <= now.Unix():
		return nil, invalidToken(ErrTokenExpired)
	case c.IssuedAt > now.Add(time.Minute).Unix():
		return nil, invalidToken(errors.New("issued in the future"))
	case !known || client.Disabled:
		return nil, invalidToken(errors.New("of a client that is gone or disabled"))
	}
	v := &Verified{Claims: c, Client: client}
	if c.Grant == "" {
		if client.Public || c.Subject != client.ID {
			return nil, invalidToken(errors.New("without a grant"))
		}
		return v, nil
	}
	return v, s.verifyGrant(ctx, v)
}

// verifyGrant checks the grant of a user's token, and finds the user.
func (s *Server) verifyGrant(ctx context.Context, v *Verified) *Error {
	key, ok := parseSessionID(v.Claims.SessionID)
	if !ok {
		return invalidToken(errors.New("without a session"))
	}
	offline := slices.Contains(v.Claims.Scopes, "offline")
	active, err := s.Grants.Active(ctx, Grant{ID: v.Claims.Grant, Session: key, Offline: offline})
	if err != nil {
		return unavailable(err)
	}
	if !active {
		return invalidToken(errors.New("of a grant that has ended"))
	}
	sess, err := s.Sessions.Lookup(ctx, key)
	switch {
	case err == nil:
		v.SignedIn, err = s.current(sess)
		if err != nil {
			return invalidToken(errors.New("of a user who is disabled or gone"))
		}
		return nil
	case errors.Is(err, session.ErrNone) && offline:
		return s.verifyOffline(ctx, v)
	case errors.Is(err, session.ErrNone):
		return invalidToken(errors.New("of a session that has ended"))
	}
	return unavailable(err)
}

// verifyOffline finds the user of a grant that has outlived its session.
func (s *Server) verifyOffline(ctx context.Context, v *Verified) *Error {
	grant, err := s.Grants.offline(ctx, v.Claims.Grant)
	if err != nil {
		return unavailable(err)
	}
	if grant == nil {
		return invalidToken(errors.New("of a grant that has ended"))
	}
	user, ok := s.Users.Current(grant.User)
	if !ok {
		return invalidToken(errors.New("of a user who is disabled or gone"))
	}
	v.User = user
	return nil
}

func invalidToken(cause error) *Error {
	return &Error{Kind: InvalidToken, Description: "The token is invalid, expired or was revoked.", Cause: fmt.Errorf("verifying a token: %w", cause)}
}
