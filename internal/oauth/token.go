package oauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// The default lifetimes of tokens.
const (
	TokenLifetime   = time.Hour           // access tokens and ID tokens
	RefreshLifetime = 90 * 24 * time.Hour // refresh tokens, each since it was issued

	// MaxTokenLifetime is the largest lifetime of a client. A retired key verifies
	// longer than that.
	MaxTokenLifetime   = 24 * time.Hour
	maxRefreshLifetime = 366 * 24 * time.Hour
)

// Tokens is the answer of a token endpoint.
type Tokens struct {
	Access    string
	ExpiresIn time.Duration
	Scopes    []string // the granted scopes, as requested

	// Refresh is a refresh token, if the scope offline was granted.
	Refresh string

	// ID is an ID token (OpenID Connect Core section 2), if one was requested and the
	// scope openid was granted.
	ID string
}

// ExchangeCode redeems a code for an access token.
func (s *Server) ExchangeCode(ctx context.Context, r CodeRequest) (*Tokens, *Error) {
	// A signing key that is not available must not use up the code.
	if err := s.Keys.Load(ctx); err != nil {
		return nil, Unavailable(err)
	}
	redeemed, refusal := s.RedeemCode(ctx, r)
	if refusal != nil {
		return nil, refusal
	}
	rec := redeemed.Record
	return s.issue(ctx, tokenParams{
		client: r.Client, user: redeemed.User, session: rec.Session, grant: rec.Grant,
		scopes: rec.Scopes, offlineAccess: rec.OfflineAccess, audience: rec.Audience, nonce: rec.Nonce, authTime: rec.AuthTime,
	}, r.IDToken)
}

// IssueTokens answers a checked authorization with tokens, without a code, for the
// user of a live session.
func (s *Server) IssueTokens(ctx context.Context, a *Authorization, in SignedIn, from Origin) (*Tokens, *Error) {
	if !a.AcceptsUser(in.User) {
		return nil, methodNotAccepted()
	}
	if refusal := s.useConsent(ctx, a, in); refusal != nil {
		return nil, refusal
	}
	s.noteDropped(a.Client, a.LeftOut, from)
	g := tokenParams{
		client: a.Client, user: in.User, session: in.Session.Key(), grant: newGrantID(a.Client),
		scopes: a.Scopes, offlineAccess: a.OfflineAccess, audience: a.Audience, nonce: a.Nonce, authTime: in.Session.Begun(),
		product: a.License.product(), account: a.License.account(),
	}
	done, refusal := s.beginGrant(in.User, a.Client, from)
	if refusal != nil {
		return nil, refusal
	}
	tokens, refusal := s.issue(ctx, g, true)
	done(refusal == nil)
	if refusal == nil {
		s.Audit.Record(Event{What: TokensIssued, User: in.User, Client: a.Client, Session: in.Session, Grant: g.grant, From: from})
	}
	return tokens, refusal
}

// ClientToken issues a client's own access token, without a user (RFC 6749 section
// 4.4).
func (s *Server) ClientToken(ctx context.Context, c *Client, scope, audience []string, from Origin) (*Tokens, *Error) {
	if c.Public {
		return nil, &Error{Kind: UnauthorizedClient, Description: "A public client has no token of its own."}
	}
	granted := []string{c.defaultAudience()}
	if len(audience) > 0 {
		var refusal *Error
		if granted, refusal = c.audience(audience, false); refusal != nil {
			return nil, refusal
		}
	}
	scopes := c.grantable(scope)
	s.noteDropped(c, droppedScopes(scope, scopes), from)
	tokens, refusal := s.issue(ctx, tokenParams{client: c, scopes: scopes, audience: granted}, false)
	if refusal == nil {
		s.Audit.Record(Event{What: TokensIssued, Client: c, From: from, Why: "client credentials"})
	}
	return tokens, refusal
}

// tokenParams are the parameters of new tokens.
type tokenParams struct {
	client   *Client
	user     session.User // the zero value: the client's own token
	session  session.Key
	grant    string
	scopes   []string
	audience []string
	nonce    string
	authTime time.Time
	product  string
	account  string
	actor    Actor

	offlineAccess bool // the scope offline was requested by that name

	// until is the latest expiry of the access token; zero: no limit.
	until time.Time
}

// lifetime is the lifetime of the access token.
func (g tokenParams) lifetime(now time.Time) time.Duration {
	life := g.client.tokenLifetime()
	if !g.until.IsZero() {
		life = min(life, g.until.Sub(now))
	}
	return life
}

// issue issues the first tokens of a grant.
func (s *Server) issue(ctx context.Context, g tokenParams, idToken bool) (*Tokens, *Error) {
	t, refusal := s.sign(ctx, g, idToken)
	if refusal != nil || g.grant == "" || !slices.Contains(g.scopes, "offline") {
		return t, refusal
	}
	if err := s.storeName(ctx, g.user, listedFor); err != nil {
		return nil, Unavailable(err)
	}
	var err error
	if t.Refresh, err = s.beginOffline(ctx, g); errors.Is(err, errEnded) {
		return nil, invalidGrant(err)
	} else if err != nil {
		return nil, Unavailable(err)
	}
	return t, nil
}

// sign signs an access token and, if requested, an ID token.
func (s *Server) sign(ctx context.Context, g tokenParams, idToken bool) (*Tokens, *Error) {
	access, err := s.signAccess(ctx, g)
	if err != nil {
		return nil, Unavailable(err)
	}
	t := &Tokens{Access: access, ExpiresIn: g.lifetime(s.Now()), Scopes: asRequested(g.scopes, g.offlineAccess)}
	if idToken && slices.Contains(g.scopes, "openid") {
		if t.ID, err = s.Keys.Sign(ctx, g.client.idTokenAlg(), s.idClaims(g, access)); err != nil {
			return nil, Unavailable(err)
		}
	}
	return t, nil
}

func (s *Server) signAccess(ctx context.Context, g tokenParams) (string, error) {
	// Only we verify a license token, and no backend may be able to forge one.
	if g.client.TokenAlg == keys.HS256 && g.product == "" {
		return s.signShared(ctx, g)
	}
	return s.Keys.Sign(ctx, g.client.idTokenAlg(), s.accessClaims(g))
}
