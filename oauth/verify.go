package oauth

import (
	"context"
	"crypto/sha256"
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

// ErrUserGone is the cause of an [InvalidToken] whose user is disabled or gone.
var ErrUserGone = errors.New("of a user who is disabled or gone")

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

// openAccess checks the signature of an access token, and reads its claims.
func (s *Server) openAccess(ctx context.Context, token string) (*Claims, *Error) {
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
	payload, err := s.verifySignature(ctx, token)
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

func (s *Server) verifySignature(ctx context.Context, token string) ([]byte, error) {
	if unverified, ok := keys.Unverified(token); ok {
		return s.verifyShared(token, unverified)
	}
	return s.Keys.Verify(ctx, token, s.Clients.Algorithms()...)
}

// verifyShared checks an access token that is signed with the key of the client
// that it names, and with no other. Who has that key can write what they like,
// so no more of it counts than this client may have.
func (s *Server) verifyShared(token string, unverified []byte) ([]byte, error) {
	var c struct {
		Claims
		Audience audience  `json:"aud"`
		Scopes   *[]string `json:"scp"`
		Groups   any       `json:"groups"`
	}
	if json.Unmarshal(unverified, &c) != nil {
		return nil, fmt.Errorf("%w: claims that are not ours", keys.ErrToken)
	}
	client, known := s.Clients.Get(c.ClientID)
	if !known || client.TokenAlg != keys.HS256 {
		return nil, fmt.Errorf("%w: HS256 is not for this client", keys.ErrToken)
	}
	payload, err := client.HS256Key.Verify(token)
	if err != nil {
		return nil, err
	}
	foreign := func(aud string) bool {
		return !slices.Contains(client.Audiences, aud) && aud != client.defaultAudience()
	}
	// Both of these say what the grant is, not what the token may do.
	beyond := func(scope string) bool {
		return scope != "openid" && scope != "offline" && len(client.grantable([]string{scope})) == 0
	}
	switch {
	case c.Scopes == nil || c.License != License{}:
		return nil, fmt.Errorf("%w: HS256 is for access tokens, and not for those of licenses", keys.ErrToken)
	case slices.ContainsFunc(c.Audience, foreign):
		return nil, fmt.Errorf("%w: of an audience that its client has not", keys.ErrToken)
	case slices.ContainsFunc(*c.Scopes, beyond):
		return nil, fmt.Errorf("%w: of a scope that its client has not", keys.ErrToken)
	}
	return payload, nil
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
	if refusal := s.verifyGrant(ctx, v); refusal != nil {
		return v, refusal
	}
	if c.License == (License{}) && !client.Accepts(v.User) {
		return v, invalidToken(errors.New("of a user who signed in by a way that does not count for its client"))
	}
	return v, nil
}

// verifyGrant checks the grant of a user's token, and finds the user.
func (s *Server) verifyGrant(ctx context.Context, v *Verified) *Error {
	key, ok := parseSessionID(v.Claims.SessionID)
	if !ok {
		return invalidToken(errors.New("without a session"))
	}
	offline := v.offline()
	grant, err := s.grant(ctx, v.Claims.Grant, offline)
	if err != nil {
		return unavailable(err)
	}
	if grant.over() {
		return invalidToken(errors.New("of a grant that has ended"))
	}
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
	return unavailable(err)
}

// verifyOffline finds the user of a grant that has outlived its session.
func (s *Server) verifyOffline(v *Verified, grant *knownGrant) *Error {
	user, ok := s.Users.Current(*grant.user)
	if !ok {
		return invalidToken(ErrUserGone)
	}
	v.User = user
	return v.checkSubject()
}

// checkSubject holds what a token says of its user to whom its grant is of.
func (v *Verified) checkSubject() *Error {
	if !same(v.Claims.Subject, v.User.Subject) {
		return invalidToken(errors.New("of another user than its session"))
	}
	return nil
}

func invalidToken(cause error) *Error {
	return &Error{Kind: InvalidToken, Description: "The token is invalid, expired or was revoked.", Cause: fmt.Errorf("verifying a token: %w", cause)}
}
