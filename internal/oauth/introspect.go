package oauth

import (
	"context"
	"errors"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/session"
)

// A LiveRefreshToken describes a refresh token that is valid now.
type LiveRefreshToken struct {
	User     session.User
	Scopes   []string // as requested
	Audience []string // of its access tokens

	// Issued and Expires are in seconds since 1970. 0 for an unused token of an old
	// release.
	Issued, Expires int64
}

// IntrospectRefresh describes a refresh token to its client (RFC 7662). It refuses,
// as an [InvalidToken], a token that [Server.Refresh] would refuse. It does not use
// the token.
func (s *Server) IntrospectRefresh(ctx context.Context, c *Client, token string) (*LiveRefreshToken, *Error) {
	presented, err := s.openPresented(ctx, token)
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
		return nil, invalidToken(&refusedError{why})
	}
	reused := (*reusedError)(nil)
	switch err := s.checkRefresh(ctx, grant, presented); {
	case errors.As(err, &reused):
		return nil, invalidToken(err)
	case err != nil:
		return nil, Unavailable(err)
	}
	live := &LiveRefreshToken{User: grant.User, Scopes: asRequested(grant.Scopes, grant.OfflineAccess), Audience: grant.Audience}
	if live.Issued = max(grant.Begun, grant.Used); live.Issued > 0 {
		live.Expires = live.Issued + int64(c.refreshLifetime().Seconds())
	}
	return live, nil
}

// checkRefresh returns why a refresh with a token would fail; nil if it would succeed: see
// [Server.rotate].
func (s *Server) checkRefresh(ctx context.Context, grant *offlineGrant, p presentedRefresh) error {
	if grant.isCurrent(p.refreshToken) {
		return nil
	}
	if _, known, err := grant.currentAfter(p); known || err != nil {
		return err
	}
	_, err := s.checkAhead(ctx, grant, p)
	return err
}
