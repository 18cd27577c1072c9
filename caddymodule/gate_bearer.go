package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// checkBearer checks which tokens a gate accepts.
func (g *Gate) checkBearer(get func(id string) (*oauth.Client, bool)) error {
	if err := options.CheckOnOff("bearer", g.Bearer); err != nil {
		return err
	}
	if g.Bearer == options.Off && len(g.AllowClients) > 0 {
		return errors.New("allow_client has no effect with bearer off, since clients authenticate with tokens; remove one of the two")
	}
	client, _ := get(g.Client)
	for _, id := range g.AllowClients {
		allowed, known := get(id)
		switch {
		case !known:
			return fmt.Errorf("allow_client: %w", errUnknownClient(id))
		case allowed.Public:
			return fmt.Errorf("allow_client %s: the client is public, and gets no token of its own; give it a secret, or leave it out", id)
		case !slices.ContainsFunc(allowed.Audiences, func(a string) bool { return slices.Contains(client.Audiences, a) }):
			return fmt.Errorf("allow_client %s: its tokens are for none of the audiences of client %s (%s); give it one of those",
				id, g.Client, strings.Join(client.Audiences, ", "))
		}
	}
	return nil
}

// knownClient returns a client of the Caddyfile. The value of its secret may not be
// known yet.
func (a *App) knownClient(id string) (*oauth.Client, bool) {
	c := a.client(id)
	if c == nil {
		return nil, false
	}
	client, err := c.withoutSecret()
	return client, err == nil
}
