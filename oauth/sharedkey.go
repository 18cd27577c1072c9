package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/keys"
)

// Tokens of a client with HS256 are signed with a key that its backends have,
// too. Who has it can write what they like, so no more of it counts than the
// client may have, of grants that its tokens were given for: the grant travels
// sealed, together with its user and session, how the client got it, and for how
// long.

// signShared makes an access token with the client's own key.
func (s *Server) signShared(ctx context.Context, g given) (string, error) {
	claims := s.accessClaims(g)
	if claims.Grant != "" {
		sealed, err := s.Keys.Seal(ctx, sharedGrant(g.client.ID), []byte(claims.grantOf()))
		if err != nil {
			return "", err
		}
		claims.Grant = sealed
	}
	return g.client.HS256Key.Sign(claims)
}

func sharedGrant(client string) string { return "grant in a token of client " + client }

// grantOf is what is sealed of a token's grant. Nothing of it has a space but the
// subject, which comes last.
func (c *Claims) grantOf() string {
	return fmt.Sprintf("%s %s %s %d %t %s", c.Grant, c.SessionID, c.Actor.ClientID, c.Expires, c.offline(), c.Subject)
}

// openShared checks an access token that is signed with the key of the client
// that it names, and with no other.
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
		return nil, invalidToken(errors.New("HS256 is for access tokens, and not for those of licenses"))
	case claims.Expires > s.Now().Add(MaxTokenLifetime).Unix():
		return nil, invalidToken(errors.New("expires later than any token does"))
	}
	c := &claims.Claims
	c.Scopes = *claims.Scopes
	if err := client.mayHave(c); err != nil {
		return nil, invalidToken(err)
	}
	return c, s.openGrant(ctx, c)
}

// mayHave holds what a token says to what its client is registered for.
func (c *Client) mayHave(claims *Claims) error {
	foreign := func(aud string) bool { return !slices.Contains(c.Audiences, aud) && aud != c.defaultAudience() }
	// Both of these say what the grant is, not what the token may do.
	beyond := func(scope string) bool {
		return scope != "openid" && scope != "offline" && len(c.grantable([]string{scope})) == 0
	}
	switch {
	case slices.ContainsFunc(claims.Audience, foreign):
		return errors.New("of an audience that its client has not")
	case slices.ContainsFunc(claims.Scopes, beyond):
		return errors.New("of a scope that its client has not")
	}
	return nil
}

// openGrant puts the grant of a token in the place of the sealed one.
func (s *Server) openGrant(ctx context.Context, c *Claims) *Error {
	if c.Grant == "" {
		return nil
	}
	sealed, err := s.Keys.Unseal(ctx, sharedGrant(c.ClientID), c.Grant)
	if err != nil && !errors.Is(err, keys.ErrSealed) {
		return Unavailable(err)
	}
	c.Grant, _, _ = strings.Cut(string(sealed), " ")
	if err != nil || !same(string(sealed), c.grantOf()) {
		return invalidToken(errors.New("of a grant that no token of its client was given for"))
	}
	return nil
}
