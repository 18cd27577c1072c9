package signin

import (
	"context"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// authorizationOf is the authorization request that a sign-in page is for.
func (h *Hosted) authorizationOf(ctx context.Context, page, rawQuery string) (*oauth.Authorization, *oauth.Error) {
	p, refusal := h.contextOf(ctx, page, rawQuery)
	return p.authorization, refusal
}
