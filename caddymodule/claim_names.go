package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// claimNames are the claims that the gates of a configuration name. Sign-in methods keep
// them with the session. The zero value has none.
type claimNames struct {
	mu    sync.Mutex
	names []string
	email bool // an e-mail address that is not verified counts, too
}

// add adds the name of a claim.
func (c *claimNames) add(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.names, name) {
		return nil
	}
	if len(c.names) == session.MaxClaims {
		return fmt.Errorf("claim %s: the gates name more than %d claims, which are kept with every session; remove some of: %s", name, session.MaxClaims, strings.Join(c.names, ", "))
	}
	c.names = append(slices.Clip(c.names), name)
	return nil
}

// addOf adds what rules need.
func (c *claimNames) addOf(rules []gate.Rule) error {
	for i := range rules {
		kind := rules[i].Kind()
		if kind == gate.KindEmail || kind == gate.KindEmailDomain {
			c.mu.Lock()
			c.email = true
			c.mu.Unlock()
		}
		if kind != gate.KindClaim {
			continue
		}
		if err := c.add(rules[i].Claim()); err != nil {
			return err
		}
	}
	return nil
}

// all returns the names for [signin.ClaimReader].
func (c *claimNames) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.email {
		return append(slices.Clip(c.names), session.ClaimEmail)
	}
	return c.names
}

// readBy has a sign-in method keep the claims.
func (c *claimNames) readBy(method signin.Method) {
	if reader, ok := method.(signin.ClaimReader); ok {
		reader.ReadClaims(c.all)
	}
}

// localMethods are the IDs of the sign-in methods whose users are configured here.
func (a *App) localMethods() []string {
	var ids []string
	for _, method := range a.methods {
		if _, named := method.(signin.NameFinder); named {
			ids = append(ids, method.ID())
		}
	}
	return ids
}
