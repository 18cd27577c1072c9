package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// ErrTokenExpired is the cause of an [InvalidToken] for an expired token.
var ErrTokenExpired = errors.New("the token has expired")

var errNotOurs = errors.New("malformed claims")

// ErrUserGone is the cause of an [InvalidToken] whose user is disabled or removed.
var ErrUserGone = errors.New("of a user who is disabled or removed")

// A Verified is a valid access token of this portal.
type Verified struct {
	Claims Claims
	Client *Client

	offlineAccess bool  // the client requested offline as offline_access
	signedIn      int64 // for a grant that has outlived its session, in Unix seconds

	// SignedIn is the user of the token; the zero value for a client's own token.
	// Session is nil if the grant has outlived it.
	SignedIn
}

// SignInTime is when the user of the token signed in.
func (v *Verified) SignInTime() time.Time {
	if v.Session == nil {
		return time.Unix(v.signedIn, 0)
	}
	return v.Session.Begun()
}

// Scopes returns the scopes of the token, as requested.
func (v *Verified) Scopes() []string { return asRequested(v.Claims.Scopes, v.offlineAccess) }

// VerifyAccess verifies an access token: its signature, its expiry, its client and
// its grant. The caller must check the audience (`aud`).
func (s *Server) VerifyAccess(ctx context.Context, token string) (*Verified, *Error) {
	sum, version := sha256.Sum256([]byte(token)), s.Keys.Version()
	claims, ok := s.Verified.claims(sum, version)
	if !ok {
		var refusal *Error
		if claims, refusal = s.openAccess(ctx, token); refusal != nil {
			return nil, refusal
		}
		s.Verified.remember(sum, version, claims)
	}
	return s.verify(ctx, *claims)
}

// openAccess verifies the signature of an access token, and decodes its claims.
func (s *Server) openAccess(ctx context.Context, token string) (*Claims, *Error) {
	if unverified, ok := keys.Unverified(token); ok {
		return s.openShared(ctx, token, unverified)
	}
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
	return &claims.Claims, nil
}

// A Hint is the content of one of our ID tokens that a client sends back: its user
// and its session.
type Hint struct {
	Client  *Client
	Subject string
	Session session.Key
}

// IDTokenHint reads an ID token that a client sends as a hint. It may have expired
// (OpenID Connect RP-Initiated Logout section 2), and it authorizes nothing.
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
	case !constantTimeEqual(claims.Issuer, s.Issuer):
		return nil, invalidToken(errors.New("of another issuer"))
	case !known || client.Disabled:
		return nil, invalidToken(errors.New("of a client that is removed or disabled"))
	}
	return &Hint{Client: client, Subject: claims.Subject, Session: key}, nil
}

// Names reports whether a hint names a session.
func (h *Hint) Names(sess *session.Session) bool {
	return h.Session == sess.Key() && constantTimeEqual(h.Subject, sess.User().Subject)
}

// openToken verifies the signature of a token with our keys, and decodes its claims.
func (s *Server) openToken(ctx context.Context, token string, claims any) *Error {
	payload, err := s.Keys.Verify(ctx, token, s.Clients.Algorithms()...)
	if errors.Is(err, keys.ErrToken) {
		return invalidToken(err)
	}
	if err != nil {
		return Unavailable(err)
	}
	if err := json.Unmarshal(payload, claims); err != nil {
		return invalidToken(errNotOurs)
	}
	return nil
}

// verify checks what all tokens have in common.
func (s *Server) verify(ctx context.Context, c Claims) (*Verified, *Error) {
	client, known := s.Clients.Get(c.ClientID)
	now := s.Now()
	switch {
	case !constantTimeEqual(c.Issuer, s.Issuer):
		return nil, invalidToken(errors.New("of another issuer"))
	case c.Expires <= now.Unix():
		return nil, invalidToken(ErrTokenExpired)
	case c.IssuedAt > now.Add(time.Minute).Unix():
		return nil, invalidToken(errors.New("issued in the future"))
	case !known || client.Disabled:
		return nil, invalidToken(errors.New("of a client that is removed or disabled"))
	}
	v := &Verified{Claims: c, Client: client}
	if c.Grant == "" {
		if client.Public || c.Subject != client.ID {
			return nil, invalidToken(errors.New("without a grant"))
		}
		return v, nil
	}
	if id := grantedTo(c.Grant); id != "" {
		if granted, known := s.Clients.Get(id); !known || granted.Disabled {
			return nil, invalidToken(errors.New("exchanged from the token of a client that is removed or disabled"))
		}
	}
	if refusal := s.verifyGrant(ctx, v); refusal != nil {
		return v, refusal
	}
	switch {
	case c.License == (License{}) && !client.Accepts(v.User):
		return v, invalidToken(errors.New("of a user whose sign-in method its client does not accept"))
	case c.License != (License{}) && !s.Licenses.accepts(c.Product, c.Account, v.User):
		return v, invalidToken(errors.New("its customer account does not accept the user, or does not have the product any more"))
	}
	return v, nil
}

// verifyGrant checks the grant of a user's token, and finds the user.
func (s *Server) verifyGrant(ctx context.Context, v *Verified) *Error {
	key, ok := parseSessionID(v.Claims.SessionID)
	if !ok {
		return invalidToken(errors.New("without a session"))
	}
	offline := v.Claims.offline()
	grant, err := s.grant(ctx, v.Claims.Grant, offline)
	if err != nil {
		return Unavailable(err)
	}
	if grant.over() {
		return invalidToken(errors.New("of a grant that has ended"))
	}
	v.offlineAccess = grant.offlineAccess
	if offline && grant.outlived.Load() {
		return s.verifyOffline(v, grant)
	}
	sess, err := s.Sessions.Lookup(ctx, key)
	switch {
	case err == nil:
		v.SignedIn, err = s.current(sess)
		if err != nil {
			return invalidToken(ErrUserGone)
		}
		return v.checkSubject()
	case errors.Is(err, session.ErrNone) && offline:
		grant.outlived.Store(true)
		return s.verifyOffline(v, grant)
	case errors.Is(err, session.ErrNone):
		return invalidToken(errors.New("of a session that has ended"))
	}
	return Unavailable(err)
}

// verifyOffline finds the user of a grant that has outlived its session.
func (s *Server) verifyOffline(v *Verified, grant *knownGrant) *Error {
	user, ok := s.Users.Current(*grant.user)
	if !ok {
		return invalidToken(ErrUserGone)
	}
	v.User, v.signedIn = user, grant.signedIn
	return v.checkSubject()
}

// checkSubject compares the subject of a token with the subject of its grant.
func (v *Verified) checkSubject() *Error {
	if !constantTimeEqual(v.Claims.Subject, v.User.Subject) {
		return invalidToken(errors.New("of another user than its session"))
	}
	return nil
}

func invalidToken(cause error) *Error {
	return &Error{Kind: InvalidToken, Description: "The token is invalid, expired or was revoked.", Cause: fmt.Errorf("verifying a token: %w", cause)}
}
