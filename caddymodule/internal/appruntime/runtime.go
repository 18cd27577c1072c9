// Package appruntime keeps the open store, and its data in memory, during a reload of
// the configuration.
package appruntime

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/background"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A Runtime is an open store under the policy of one configuration.
type Runtime struct {
	State  *State
	Engine string // the name of the storage's module
	Server *oauth.Server
	Audit  *oauth.Audit

	Rechecks      *background.Rechecks
	DisabledUsers *background.Disabled

	License   *licenseapi.API // nil: there is none
	Signature *licenseapi.SignatureKey

	Identity string
	holders  atomic.Int64 // requests that hold the store, and the app itself
}

// Open opens a store, or returns it if it is open. The caller holds it, and sets the
// fields that serve requests.
func Open(o Options) (*Runtime, error) {
	poolMutex.Lock()
	v, _, err := openStates.LoadOrNew(o.Identity, func() (caddy.Destructor, error) { return newState(o) })
	poolMutex.Unlock()
	if err != nil {
		return nil, fmt.Errorf("opening the storage: %w", err)
	}
	c := &Runtime{State: v.(*State), Identity: o.Identity}
	c.holders.Store(1)
	return c, nil
}

// References returns how many configurations and requests hold a store.
func References(identity string) int {
	n, _ := openStates.References(identity)
	return n
}

// Identities are the stores that are open.
func Identities() (identities []string) {
	openStates.Range(func(key, _ any) bool {
		identities = append(identities, fmt.Sprint(key))
		return true
	})
	return identities
}

// Holders returns the number of holders of the store: requests, and the app itself.
func (c *Runtime) Holders() int64 { return c.holders.Load() }

// Hold keeps the store open for a request. It returns false if the store is closed.
func (c *Runtime) Hold() bool {
	for {
		n := c.holders.Load()
		if n == 0 {
			return c.rejoin()
		}
		if c.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// rejoin is Hold for a late request: Caddy cleans up a configuration while its
// servers still read from open connections. Such a request is served by the old
// configuration, with the store that the new one has open.
func (c *Runtime) rejoin() bool {
	poolMutex.Lock()
	defer poolMutex.Unlock()
	if _, open := openStates.References(c.Identity); !open {
		return false
	}
	v, _, err := openStates.LoadOrNew(c.Identity, func() (caddy.Destructor, error) { return nil, storage.ErrUnavailable })
	if err != nil {
		return false
	}
	if v != caddy.Destructor(c.State) { // closed and opened again meanwhile
		c.leave()
		return false
	}
	if c.holders.Add(1) > 1 { // another late request came first, and holds it for all
		c.leave()
	}
	return true
}

// Release ends a hold. The last one closes the store, unless another configuration
// uses it.
func (c *Runtime) Release() {
	if c.holders.Add(-1) == 0 {
		c.leave()
	}
}

func (c *Runtime) leave() {
	if _, err := openStates.Delete(c.Identity); err != nil {
		caddy.Log().Named("sso").Error("closing the storage", zap.Error(err))
	}
}

// RefreshKeys applies the key changes of other nodes.
func (c *Runtime) RefreshKeys(ctx context.Context) error {
	err := c.Server.Keys.Refresh(ctx)
	if c.Signature == nil {
		return err
	}
	return errors.Join(err, c.Signature.Refresh(ctx))
}
