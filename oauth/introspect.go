package oauth

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// A LiveRefreshToken is what is known of a refresh token that would be taken now.
type LiveRefreshToken struct {
	User     session.User
	Scopes   []string // as they were asked for
	Audience []string // of the tokens that it gives

	// Issued and Expires are in seconds since 1970; 0 of one of an older release
	// that was never used.
	Issued, Expires int64
}

// IntrospectRefresh says what is known of a refresh token to the client that it was
// issued to (RFC 7662). It refuses, as an [InvalidToken], what [Server.Refresh]
// would refuse, and uses nothing up.
func (s *Server) IntrospectRefresh(ctx context.Context, c *Client, token string) (*LiveRefreshToken, *Error) {
	presented, err := s.openRefresh(ctx, token)
	if errors.Is(err, keys.ErrSealed) {
		return nil, invalidToken(err)
	}
	if err != nil {
		return nil, Unavailable(err)
	}
	grant, err := s.Grants.offline(ctx, presented.grant)
	switch {
	case err != nil:
		return nil, Unavailable(err)
	case grant == nil:
		return nil, invalidToken(errors.New("of a grant that has ended"))
	}
	if why := s.unrefreshable(grant, RefreshRequest{Client: c}); why != "" {
		return nil, invalidToken(&unboundError{why})
	}
	if !grant.takes(presented, s.Now().UnixMilli()) {
		return nil, invalidToken(errReused)
	}
	live := &LiveRefreshToken{User: grant.User, Scopes: spelled(grant.Scopes, grant.OfflineAccess), Audience: grant.Audience}
	if live.Issued = max(grant.Begun, grant.Used); live.Issued > 0 {
		live.Expires = live.Issued + int64(c.refreshLifetime().Seconds())
	}
	return live, nil
}

// takes says whether a refresh by a token would give another one.
func (g *offlineGrant) takes(t refreshToken, now int64) bool {
	hash := t.hash()
	if subtle.ConstantTimeCompare(g.Current[:], hash[:]) == 1 {
		return true
	}
	_, err := g.succeed(t, now)
	return err == nil
}
