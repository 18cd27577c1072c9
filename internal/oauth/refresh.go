package oauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A RefreshRequest exchanges a refresh token for tokens (RFC 6749 section 6).
type RefreshRequest struct {
	Client  *Client // authenticated
	Token   string
	Scope   []string // nil: the granted scopes; otherwise a part of them
	IDToken bool     // add an ID token if the scope openid was granted
	From    Origin
}

// beginOffline stores a persistent grant, and returns its first refresh token.
func (s *Server) beginOffline(ctx context.Context, g tokenParams) (string, error) {
	const first = 1
	t := newRefreshToken(g.grant, place{first, tagOf(storage.Identity(s.Store, grantKey(g.grant)))})
	err := s.Grants.begin(ctx, g.grant, &offlineGrant{
		Version: offlineVersion, Client: g.client.ID, User: g.user, Session: sessionID(g.session),
		Scopes: g.scopes, OfflineAccess: g.offlineAccess, Audience: g.audience, AuthTime: g.authTime.Unix(), Begun: s.Now().Unix(),
		Current: t.hash(), Number: first,
	}, g.client.refreshLifetime())
	if err != nil {
		return "", err
	}
	// A withdrawal since the redemption may have found no grant to end.
	if err := s.checkNotWithdrawn(ctx, g.client, g.user); err != nil {
		_, removeErr := s.Grants.remove(ctx, g.grant)
		return "", errors.Join(err, removeErr)
	}
	return s.sealRefresh(ctx, t)
}

// Refresh exchanges a refresh token, which is valid once, for tokens and the next
// refresh token. A second use ends the grant, unless the answer may have been lost:
// see [offlineGrant.mayRepeat].
//
// A grant that the store does not have is invalid_grant, even if a failover may have
// lost it: it cannot be told from one that was ended, and it never comes back (RFC
// 6749 section 5.2).
func (s *Server) Refresh(ctx context.Context, r RefreshRequest) (*Tokens, *Error) {
	presented, err := s.openPresented(ctx, r.Token)
	if errors.Is(err, keys.ErrSealed) {
		return nil, s.refuseRefresh(r, "", "not one of ours")
	}
	if err != nil {
		return nil, Unavailable(err)
	}
	// A signing key that is not available must not use up the token.
	if err := s.Keys.Load(ctx); err != nil {
		return nil, Unavailable(err)
	}
	var grant *offlineGrant
	var done rotation
	err = storage.Update(ctx, s.Store, grantKey(presented.grant), r.Client.refreshLifetime(), func(stored []byte) ([]byte, bool, error) {
		done = rotation{}
		if stored == nil {
			return nil, false, &refusedError{"its grant has ended"}
		}
		found, err := s.Grants.decode(stored)
		if errors.Is(err, records.ErrVersion) {
			return nil, false, err
		}
		if err != nil {
			return nil, false, &refusedError{"its grant cannot be read"}
		}
		grant = found
		if why := s.unrefreshable(grant, r); why != "" {
			return nil, false, &refusedError{why}
		}
		var changed []byte
		done, changed, err = s.rotate(ctx, grant, presented)
		return changed, changed != nil, err
	})
	if done.ahead { // even if it is unknown whether that was stored
		s.Audit.Record(Event{What: RefreshAhead, User: grant.User, Client: r.Client, Grant: presented.grant, From: r.From, Why: "the store has lost its last writes"})
	}
	refused, reused := (*refusedError)(nil), (*reusedError)(nil)
	switch {
	case errors.As(err, &reused):
		return nil, s.refreshReused(ctx, r, presented.grant, reused)
	case errors.As(err, &refused):
		return nil, s.refuseRefresh(r, presented.grant, refused.why)
	case err != nil:
		return nil, Unavailable(err)
	}
	// If this fails, the next refresh does it.
	_ = s.Grants.keepListed(ctx, grant.User.Subject, presented.grant)
	return s.refreshed(ctx, r, grant, done)
}

// unrefreshable returns why a grant gives no more tokens to a client; nil if it does.
func (s *Server) unrefreshable(grant *offlineGrant, r RefreshRequest) string {
	switch {
	case !constantTimeEqual(grant.Client, r.Client.ID):
		return "issued to another client"
	case len(r.Client.grantable(withoutOpenID(grant.Scopes))) < len(withoutOpenID(grant.Scopes)):
		return "its client has lost a scope"
	case slices.ContainsFunc(grant.Audience, func(a string) bool { return !slices.Contains(r.Client.Audiences, a) }):
		return "its client has lost an audience"
	}
	user, ok := s.Users.Current(grant.User)
	if !ok {
		return "its user is disabled or removed"
	}
	if !r.Client.Accepts(user) {
		return "its client does not accept the sign-in method of the user any more"
	}
	grant.User = user
	return ""
}

// withoutOpenID returns the scopes that a client must be registered for.
func withoutOpenID(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == "openid" })
}

// refreshed makes the tokens.
func (s *Server) refreshed(ctx context.Context, r RefreshRequest, grant *offlineGrant, done rotation) (*Tokens, *Error) {
	key, _ := parseSessionID(grant.Session)
	g := tokenParams{
		client: r.Client, user: grant.User, session: key, grant: done.next.grant,
		scopes: grant.Scopes, audience: grant.Audience, authTime: time.Unix(grant.AuthTime, 0),
	}
	if r.Scope != nil {
		// offline stays: it describes the grant, not the rights of the token.
		g.scopes = slices.DeleteFunc(slices.Clone(g.scopes), func(have string) bool {
			return have != "offline" && !slices.Contains(r.Scope, have)
		})
	}
	tokens, refusal := s.sign(ctx, g, r.IDToken)
	if refusal != nil {
		return nil, refusal
	}
	tokens.Scopes = grant.refreshedScopes(r.Scope)
	var err error
	if tokens.Refresh, err = s.sealRefresh(ctx, done.next); err != nil {
		return nil, Unavailable(err)
	}
	why := ""
	if done.again {
		why = "by a token that was used before: an answer was lost, or two tabs raced"
	}
	s.Audit.Record(Event{What: TokensRefreshed, User: grant.User, Client: r.Client, Grant: g.grant, From: r.From, Why: why})
	return tokens, nil
}

// refreshReused ends the grant of a refresh token that a second holder has. Only the
// token's own client can trigger it.
func (s *Server) refreshReused(ctx context.Context, r RefreshRequest, grant string, reused *reusedError) *Error {
	s.Audit.Record(Event{What: RefreshReused, Client: r.Client, Grant: grant, From: r.From})
	if err := s.Grants.End(ctx, grant); err != nil {
		return Unavailable(err)
	}
	s.Audit.Record(Event{What: GrantEnded, Client: r.Client, Grant: grant, From: r.From, Why: reused.why})
	return invalidRefresh(reused)
}

func (s *Server) refuseRefresh(r RefreshRequest, grant, why string) *Error {
	s.Audit.Record(Event{What: TokenRefused, Client: r.Client, Grant: grant, From: r.From, Why: why})
	return invalidRefresh(&refusedError{why})
}

func invalidRefresh(cause error) *Error {
	return &Error{Kind: InvalidGrant, Description: "The refresh token is invalid, expired, revoked, used already, or was issued to another client.", Cause: cause}
}
