package caddymodule

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/internal/signin/background"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

// runtime opens the store once. After an error it tries again at the next request,
// since apps start in no fixed order, and a store may be down for a while.
func (a *App) runtime() (*appruntime.Runtime, error) {
	if c := a.opened.Load(); c != nil {
		return c, nil
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	if c := a.opened.Load(); c != nil {
		return c, nil
	}
	if a.closed { // what a late request opens would never be closed
		if c := a.last; c != nil && c.Hold() {
			c.Release()
			return c, nil
		}
		return nil, storage.ErrUnavailable
	}
	c, err := appruntime.Open(appruntime.Options{
		Identity: a.engine.Identity(),
		Open: func(now func() time.Time) (storage.Store, error) {
			return a.engine.Open(a.storeLog, now)
		},
		Shared: a.engine.Shared(), CachedSessions: a.Session.Cache,
	})
	if err != nil {
		return nil, err
	}
	a.assemble(c)
	for _, method := range a.methods {
		if opener, ok := method.(signin.Opener); ok {
			if err := opener.Open(c.State.Store); err != nil {
				c.Release()
				return nil, fmt.Errorf("signin %s: %w", method.ID(), err)
			}
		}
	}
	a.opened.Store(c)
	return c, nil
}

// assemble creates the request handlers for an open store, with the settings of this
// configuration.
func (a *App) assemble(c *appruntime.Runtime) {
	s, format := c.State, records.Format(a.RecordFormat)
	sessions := session.New(s.Cache, a.Session.policy(format))
	vault := a.vault
	if sealer, ok := a.engine.(KeySealer); ok {
		secrets := sealer.SealingSecrets()
		vault = keys.NewStoreVault(s.Store, secrets[0], &s.Keys, secrets[1:]...)
	}
	c.Engine = a.engine.(caddy.Module).CaddyModule().ID.Name()
	c.Audit = oauth.NewAudit(a.log.Named("audit"))
	c.Server = &oauth.Server{
		Issuer:   a.Issuer,
		Clients:  a.clients,
		Licenses: a.licensing.licenses,
		Sessions: sessions,
		Codes:    s.Codes,
		Limits:   a.Codes.limits(format),
		Keys: keys.NewRing(vault, keys.Options{
			Now: s.Clock.Now, Algorithms: a.clients.Algorithms(), Withdrawn: s.Verified.CloseBearers, Logger: a.log.Named("keys"),
		}),
		Grants:        oauth.NewGrants(s.Store, sessions),
		Verified:      oauth.NewVerifiedTokens(s.Verified),
		Users:         a.groups.Distinct(a.methods.Apart(a.clients), a.log.Named("signin")),
		Named:         a.methods.Called,
		IsProvider:    a.methods.IsProvider,
		MethodUserID:  a.methods.OwnID,
		Store:         s.Store,
		Secrets:       s.Secrets,
		Audit:         c.Audit,
		DroppedScopes: oauth.NewDroppedScopes(a.log),
		Now:           s.Clock.Now,
		Stamp:         s.Clock.Earlier,

		OtherSubject: a.methods.OtherSubject,
		Allowance:    s.Allowance,
	}
	c.Rechecks = background.NewRechecks(c.Server, a.methods, a.log.Named("signin"))
	c.DisabledUsers = &background.Disabled{Server: c.Server, Methods: a.methods, Log: a.log.Named("signin")}
	c.License, c.Signature = a.newLicenseAPI(c.Server, vault)
}

// sessionCookie carries the SSO session at the portal.
func (a *App) sessionCookie() session.Cookie {
	c := session.NewCookie("session", a.issuer, "")
	if a.Session.SameSite == sameSiteNone {
		c.SameSite = http.SameSiteNoneMode
	}
	return c
}
