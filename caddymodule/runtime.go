package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/endings"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/internal/signin/background"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

var errUnavailable = storage.ErrUnavailable

// states are what outlives a reload, by the identity of the store alone.
// Policy stays outside: it may change with every reload.
var states = caddy.NewUsagePool()

// poolMutex is held while the pool is entered: a constructor that fails would
// fail for whoever comes at the same time, too.
var poolMutex sync.Mutex

// A state is one store and what is kept in memory over it.
type state struct {
	clock    *sharedclock.Clock
	stop     context.CancelFunc // ends what compares the clocks
	store    storage.Store
	engine   storage.Store // what store is over, or the same
	cache    *session.Cache
	verified *oauth.VerifiedCache
	searches *oauth.Searches
	codes    *codes.Codes
	attempts *attemptlimit.Limiter
	secrets  *attemptlimit.Limiter // a count of its own, since a wrong secret costs next to nothing
	allowed  *attemptlimit.Limiter // what users are given; a count of its own, too
	keys     keys.Memory           // where the store keeps the signing keys, too
}

// Destruct implements caddy.Destructor.
func (s *state) Destruct() error {
	s.stop()
	s.searches.Close()
	s.verified.Close()
	s.cache.Close()
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("closing the storage: %w", err)
	}
	return nil
}

// A appRuntime is an open store under the policy of one configuration.
type appRuntime struct {
	state  *state
	engine string // the name of the storage's module
	server *oauth.Server
	audit  *oauth.Audit

	rechecks *background.Rechecks
	disabled *background.Disabled

	license   *licenseapi.API // nil: there is none
	signature *licenseapi.SignatureKey

	identity string
	users    atomic.Int64 // requests that hold the store, and the app itself
}

// runtime opens the store, once. An app that failed to tries again at the next
// request, since apps start in no fixed order and stores come and go.
func (a *App) runtime() (*appRuntime, error) {
	if c := a.opened.Load(); c != nil {
		return c, nil
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	if c := a.opened.Load(); c != nil {
		return c, nil
	}
	if a.closed { // nobody would close what a late request opens
		if c := a.last; c != nil && c.hold() {
			c.release()
			return c, nil
		}
		return nil, errUnavailable
	}
	identity := a.engine.Identity()
	poolMutex.Lock()
	v, _, err := states.LoadOrNew(identity, func() (caddy.Destructor, error) { return a.newState() })
	poolMutex.Unlock()
	if err != nil {
		return nil, fmt.Errorf("opening the storage: %w", err)
	}
	c := a.newRuntime(v.(*state), identity)
	for _, method := range a.methods {
		if opener, ok := method.(signin.Opener); ok {
			if err := opener.Open(c.state.store); err != nil {
				c.release()
				return nil, fmt.Errorf("signin %s: %w", method.ID(), err)
			}
		}
	}
	a.opened.Store(c)
	return c, nil
}

func (a *App) newState() (*state, error) {
	clk := sharedclock.New(sharedclock.Options{Wall: wallClock, Report: new(clockReports).report})
	store, err := a.engine.Open(a.storeLog, clk)
	if err != nil {
		return nil, err
	}
	engine := store
	if a.engine.Shared() {
		store = endings.New(store, endings.Options{
			Removed:      append(session.Prefixes(), oauth.GrantPrefix),
			Marks:        []string{oauth.EndedPrefix},
			MarkLifetime: oauth.EndedFor,
			Now:          clk.Now,
			Forgotten:    logForgotten,
		})
	}
	s := &state{
		clock:    clk,
		store:    store,
		engine:   engine,
		cache:    session.NewCache(store, session.CacheOptions{Capacity: a.Session.Cache, Now: clk.Now, Logger: logStored(new(logthrottle.ByKind))}),
		verified: oauth.NewVerifiedCache(store, oauth.VerifiedOptions{Now: clk.Now}),
		searches: oauth.NewSearches(func() *zap.Logger { return caddy.Log().Named("sso") }),
		attempts: attemptlimit.New(),
		secrets:  attemptlimit.New(),
		allowed:  attemptlimit.New(),
	}
	if a.engine.Shared() {
		s.codes = codes.NewStored(store, codes.Options{Now: clk.Now})
	} else {
		s.codes = codes.NewMemory(codes.Options{Now: clk.Now})
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go clk.Run(ctx, s.storeTime())
	return s, nil
}

// logStored writes what went wrong with something in the store. It outlives the
// configuration, whose log may be closed by then.
func logStored(failures *logthrottle.ByKind) func(what string, err error) {
	return func(what string, err error) {
		failures.Logger(caddy.Log().Named("sso")).Warn("storage", zap.String("record", what), zap.Error(err))
	}
}

// logForgotten writes that the store came back without its last endings.
func logForgotten(endings int) {
	caddy.Log().Named("sso").Warn("the store had forgotten sessions and grants that were ended in the last minutes, as it does at a failover to a replica that was behind; they were ended again",
		zap.Int("endings", endings))
}

func (a *App) newRuntime(s *state, identity string) *appRuntime {
	format := records.Format(a.RecordFormat)
	sessions := session.New(s.cache, a.Session.policy(format))
	vault := a.vault
	if own := a.engine.Vault(s.store, &s.keys); own != nil {
		vault = own
	}
	audit := oauth.NewAudit(a.log.Named("audit"))
	c := &appRuntime{
		state: s, identity: identity, audit: audit,
		engine: a.engine.(caddy.Module).CaddyModule().ID.Name(),
		server: &oauth.Server{
			Issuer:   a.Issuer,
			Clients:  a.clients,
			Licenses: a.licensing.licenses,
			Sessions: sessions,
			Codes:    s.codes,
			Limits:   a.Codes.limits(format),
			Keys: keys.NewRing(vault, keys.Options{
				Now: s.clock.Now, Algorithms: a.clients.Algorithms(), Withdrawn: s.verified.CloseBearers, Logger: a.log.Named("keys"),
			}),
			Grants:   oauth.NewGrants(s.store, sessions),
			Verified: oauth.NewVerifiedTokens(s.verified),
			Users:    a.groups.Distinct(a.methods.Apart(a.clients), a.log.Named("signin")),
			Named:    a.methods.Called,
			Outside:  a.methods.IsProvider,
			OwnID:    a.methods.OwnID,
			Store:    s.store,
			Secrets:  s.secrets,
			Audit:    audit,
			LeftOut:  oauth.NewDroppedScopes(a.log),
			Now:      s.clock.Now,
			Stamp:    s.clock.Earlier,

			OtherSubject: a.methods.OtherSubject,
			Allowance:    s.allowed,
		},
	}
	c.rechecks = background.NewRechecks(c.server, a.methods, a.log.Named("signin"))
	c.disabled = &background.Disabled{Server: c.server, Methods: a.methods, Log: a.log.Named("signin")}
	c.license, c.signature = a.newLicenseAPI(c.server, vault)
	c.users.Store(1)
	return c
}

// hold keeps the store open for a request. False means that it is closed.
func (c *appRuntime) hold() bool {
	for {
		n := c.users.Load()
		if n == 0 {
			return c.rejoin()
		}
		if c.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// rejoin is hold for a late request: Caddy cleans a configuration up while its
// servers still read from connections that they have. Such a request goes by
// the old configuration, on the store that the next one has open.
func (c *appRuntime) rejoin() bool {
	poolMutex.Lock()
	defer poolMutex.Unlock()
	if _, open := states.References(c.identity); !open {
		return false
	}
	v, _, err := states.LoadOrNew(c.identity, func() (caddy.Destructor, error) { return nil, errUnavailable })
	if err != nil {
		return false
	}
	if v != caddy.Destructor(c.state) { // closed and opened again meanwhile
		c.leave()
		return false
	}
	if c.users.Add(1) > 1 { // another late request came first, and holds it for all
		c.leave()
	}
	return true
}

// release ends a hold; the last one closes the store, unless another
// configuration uses it.
func (c *appRuntime) release() {
	if c.users.Add(-1) == 0 {
		c.leave()
	}
}

func (c *appRuntime) leave() {
	if _, err := states.Delete(c.identity); err != nil {
		caddy.Log().Named("sso").Error("closing the storage", zap.Error(err))
	}
}

// sessionCookie carries the SSO session at the portal.
func (a *App) sessionCookie() session.Cookie {
	c := session.NewCookie("session", a.issuer, "")
	if a.Session.SameSite == sameSiteNone {
		c.SameSite = http.SameSiteNoneMode
	}
	return c
}

// requestOrigin is where Caddy believes a request to come from.
func requestOrigin(r *http.Request) oauth.Origin {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return oauth.Origin(ip)
}
