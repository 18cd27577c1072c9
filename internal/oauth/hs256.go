package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

// Tokens with HS256 are signed with a key that the client's backends have, too, and
// can forge tokens with. So the grant of a user's token is sealed inside it, together
// with a digest of all claims except the custom ones. A client's own token is limited
// to what the client is registered for.

var errForged = errors.New("forged with the key of its client")

// signShared signs an access token with the client's own key.
func (s *Server) signShared(ctx context.Context, g tokenParams) (string, error) {
	claims := s.accessClaims(g)
	if claims.Grant != "" {
		issued, err := claims.sealedContent()
		if err != nil {
			return "", err
		}
		if claims.Grant, err = s.Keys.Seal(ctx, sharedKeyLabel, issued); err != nil {
			return "", err
		}
	}
	return g.client.HS256Key.Sign(claims)
}

// sharedKeyLabel is the sealing label of the grant in such a token. The claims have
// the client.
const sharedKeyLabel = "grant in a token by a shared key"

// sealedContent is what the token seals: a digest of the claims, then the grant.
func (c *Claims) sealedContent() ([]byte, error) {
	said, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding claims: %w", err)
	}
	sum := sha256.Sum256(said)
	return append(sum[:], c.Grant...), nil
}

// openShared verifies an access token with the key of the client that it names, and
// with no other key.
func (s *Server) openShared(ctx context.Context, token string, unverified []byte) (*Claims, *Error) {
	var named struct {
		ClientID string `json:"client_id"`
	}
	if json.Unmarshal(unverified, &named) != nil {
		return nil, invalidToken(errNotOurs)
	}
	client, known := s.Clients.Get(named.ClientID)
	if !known || client.TokenAlg != keys.HS256 {
		return nil, invalidToken(errors.New("HS256 is not for this client"))
	}
	payload, err := client.HS256Key.Verify(token)
	if err != nil {
		return nil, invalidToken(err)
	}
	var claims struct {
		Claims
		Scopes *[]string `json:"scp"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return nil, invalidToken(errNotOurs)
	}
	switch {
	case claims.Scopes == nil || claims.License != (License{}):
		return nil, invalidToken(errors.New("HS256 is only for access tokens, and not for license tokens"))
	case claims.Expires > s.Now().Add(MaxTokenLifetime).Unix():
		return nil, invalidToken(errors.New("expires later than the longest token lifetime allows"))
	}
	c := &claims.Claims
	c.Scopes = *claims.Scopes
	if err := client.checkClaims(c); err != nil {
		return nil, invalidToken(err)
	}
	return c, s.openGrant(ctx, c)
}

// checkClaims checks the claims of a token against the registration of its client.
func (c *Client) checkClaims(claims *Claims) error {
	foreign := func(aud string) bool { return !slices.Contains(c.Audiences, aud) && aud != c.defaultAudience() }
	// These two scopes describe the grant, not the rights of the token.
	beyond := func(scope string) bool {
		return scope != "openid" && scope != "offline" && len(c.grantable([]string{scope})) == 0
	}
	switch {
	case slices.ContainsFunc(claims.Audience, foreign):
		return errors.New("for an audience that its client is not registered for")
	case slices.ContainsFunc(claims.Scopes, beyond):
		return errors.New("with a scope that its client is not registered for")
	}
	return nil
}

// openGrant replaces the sealed grant in the claims by the opened one.
func (s *Server) openGrant(ctx context.Context, c *Claims) *Error {
	if c.Grant == "" {
		return nil
	}
	sealed, err := s.Keys.Unseal(ctx, sharedKeyLabel, c.Grant)
	if err != nil && !errors.Is(err, keys.ErrSealed) {
		return Unavailable(err)
	}
	if err != nil || len(sealed) < sha256.Size {
		return invalidToken(errForged)
	}
	c.Grant = string(sealed[sha256.Size:])
	if issued, err := c.sealedContent(); err != nil || subtle.ConstantTimeCompare(issued, sealed) != 1 {
		return invalidToken(errForged)
	}
	return nil
}
