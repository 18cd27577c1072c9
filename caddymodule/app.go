// Package caddymodule is the part of caddy-sso that knows Caddy: the app, the
// two handlers, the guest modules, the Caddyfile, the admin API and the
// commands. It reads configuration, and wires the packages below together; the
// decisions are taken there.
package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the configuration that portal and gates share: who may sign in, which
// applications there are, how long sessions live and where they are kept.
type App struct {
	// The portal's public origin, such as `https://login.example.com`: what
	// browsers use, whatever stands in front. It is the `iss` of all tokens.
	// http is for loopback only. Required.
	Issuer string `json:"issuer,omitempty"`

	// The engine that keeps sessions, codes and grants: `file`, `memory` or
	// `redis`. Default: `file`.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=sso.storage inline_key=engine"`

	// How sessions, grants and codes are written: `1`, as by all releases, or `2`,
	// which takes about half the room. All nodes have to be of a release that reads
	// it, which this one is the first of. Both are read. Default: 1.
	RecordFormat int `json:"record_format,omitempty"`

	// How long SSO sessions live.
	Session SessionConfig `json:"session,omitzero"`

	// How long authorization codes live, and how many there may be.
	Codes CodesConfig `json:"codes,omitzero"`

	// The sign-in methods.
	SigninRaw []json.RawMessage `json:"signin,omitempty" caddy:"namespace=sso.signin inline_key=method"`

	// The registered applications.
	Clients []*ClientConfig `json:"clients,omitempty"`

	// How the pages look.
	Brand BrandConfig `json:"brand,omitzero"`

	// The License API, for licensed software. Default: there is none.
	License *LicenseConfig `json:"license,omitempty"`

	issuer  *url.URL
	clients *oauth.Clients
	engine  Engine
	methods methods.List
	groups  oauth.ConfiguredGroups
	limits  signin.AttemptLimits
	pages   *page.Pages
	vault   keys.Vault // where the engine is not shared by nodes
	log     *zap.Logger

	scrubbed []*caddyhttp.Server // whose routes delete identity headers

	storeLog *zap.Logger        // the store says once that it went, and once that it came
	failures logthrottle.ByKind // lines about what does not work, of the app and its handlers

	opening sync.Mutex
	closed  bool        // guarded by opening
	last    *appRuntime // what was open when closed; guarded by opening
	opened  atomic.Pointer[appRuntime]
	stop    context.CancelFunc

	licensing licensing  // where there is a License API
	customers *customers // of its file; nil: there is none
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso", New: func() caddy.Module { return new(App) }}
}

// Provision checks the configuration. It opens nothing: `caddy validate` comes
// here too, beside a running server.
func (a *App) Provision(ctx caddy.Context) error {
	a.storeLog = ctx.Logger()
	a.log = a.failures.Logger(a.storeLog)
	a.vault = newCaddyVault(ctx.Storage())
	var err error
	if a.issuer, err = ParseIssuer(a.Issuer); err != nil {
		return err
	}
	if err := checkRecordFormat(&a.RecordFormat); err != nil {
		return err
	}
	a.Session.setDefaults()
	a.Codes.setDefaults()
	if err := errors.Join(a.Session.validate(), a.Session.validateCookie(a.issuer), a.Codes.validate()); err != nil {
		return err
	}
	list := make([]*oauth.Client, 0, len(a.Clients))
	for i, c := range a.Clients {
		if c == nil {
			return fmt.Errorf("clients: entry %d is null", i)
		}
		client, err := c.client()
		if err != nil {
			return fmt.Errorf("client %s: %w", c.ID, err)
		}
		list = append(list, client)
	}
	if a.clients, err = oauth.NewClients(list); err != nil {
		return err
	}
	if a.pages, err = a.Brand.pages(func(err error) { a.log.Error("rendering a page", zap.Error(err)) }); err != nil {
		return err
	}
	if err := a.loadEngine(ctx); err != nil {
		return err
	}
	if err := a.loadSignin(ctx); err != nil {
		return err
	}
	if err := a.loadLicense(); err != nil {
		return err
	}
	if err := a.loadClientMethods(); err != nil {
		return err
	}
	return a.checkPlacement(webApp(ctx)) // last, since gates that it provisions ask for the app
}

func (a *App) loadEngine(ctx caddy.Context) error {
	if a.StorageRaw == nil {
		a.StorageRaw = json.RawMessage(`{"engine":"file"}`)
	}
	m, err := ctx.LoadModule(a, "StorageRaw")
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	engine, ok := m.(Engine)
	if !ok {
		return fmt.Errorf("storage: module %T is no storage engine", m)
	}
	a.engine = engine
	return nil
}

var errNoSignin = errors.New("signin: no sign-in method is configured; add for example: signin local { user <name> <hash> }; or, where all who sign in are those of customers of the License API: license { customers <file> … }")

// checkSignin refuses a configuration by which nobody can ever sign in. Customers
// of a file bring providers of their own.
func (a *App) checkSignin() error {
	if len(a.SigninRaw) == 0 && (a.License == nil || a.License.CustomersFile == "") {
		return errNoSignin
	}
	return nil
}

func (a *App) loadSignin(ctx caddy.Context) error {
	if err := a.checkSignin(); err != nil {
		return err
	}
	if err := checkNaming(a.SigninRaw); err != nil {
		return err
	}
	ms, err := ctx.LoadModule(a, "SigninRaw")
	if err != nil {
		return fmt.Errorf("signin: %w", err)
	}
	for _, m := range ms.([]any) {
		method, ok := m.(MethodModule)
		if !ok {
			return fmt.Errorf("signin: module %T is no sign-in method", m)
		}
		w, err := method.Method()
		if err != nil {
			return fmt.Errorf("signin: %w", err)
		}
		for _, other := range a.methods {
			if other.ID() == w.ID() {
				return fmt.Errorf("signin %s: defined twice; every way has an ID of its own", w.ID())
			}
		}
		a.methods = append(a.methods, w)
		if local, ok := m.(*SigninLocal); ok {
			if err := local.nameGroups(&a.groups); err != nil {
				return fmt.Errorf("signin local: %w", err)
			}
		}
		if provider, ok := w.(*provider.Method); ok && a.clients.UseAvatar() {
			provider.UseAvatar()
		}
		if limiter, ok := m.(AttemptLimiter); ok && a.limits == (signin.AttemptLimits{}) {
			a.limits = limiter.AttemptLimits()
		}
	}
	if err := a.methods.CheckLinks(); err != nil {
		return err
	}
	if a.limits == (signin.AttemptLimits{}) { // of ways that do not say
		a.limits = signin.AttemptLimits{PerAccount: 10, PerAddress: 100, Every: 15 * time.Minute}
	}
	return nil
}

// Start opens the storage and the keys, so that what is wrong with them is said
// at once. A store on another machine may come up later than we do.
func (a *App) Start() error {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	c, err := a.runtime()
	if err != nil {
		return err
	}
	c.state.clock.Check(ctx, c.state.storeTime())
	if err := c.server.Keys.Load(ctx); err != nil {
		if !errors.Is(err, errUnavailable) {
			return fmt.Errorf("loading the signing keys: %w", err)
		}
		a.log.Warn("the storage does not answer yet; nobody can sign in until it does", zap.Error(err))
	}
	if err := a.startLicense(ctx, c); err != nil {
		return err
	}
	go a.maintain(ctx, c)
	go a.followKeys(ctx, c)
	go c.rechecks.Run(ctx)
	go c.disabled.Run(ctx)
	if a.customers != nil {
		go a.customers.endDisabled(ctx, c)
	}
	for _, method := range a.methods {
		if watcher, ok := method.(signin.Watcher); ok {
			go watcher.Watch(ctx)
		}
	}
	return nil
}

// reviewEvery is how often live requests are held against who may sign in now.
const reviewEvery = 2 * time.Second

// maintain rotates the signing keys, and closes what users who are gone have
// open: a reload or an edited file may have taken them out.
func (a *App) maintain(ctx context.Context, c *appRuntime) {
	ticker, review := time.NewTicker(time.Hour), time.NewTicker(reviewEvery)
	defer ticker.Stop()
	defer review.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-review.C:
			c.server.CloseRequests(func(u session.User) bool {
				_, current := a.methods.Current(u)
				return !current
			})
		case <-ticker.C:
			if err := c.server.Keys.Maintain(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("rotating the signing keys", zap.Error(err))
			}
			if c.signature == nil {
				continue
			}
			if err := c.signature.Maintain(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("keeping the key of LicenseSignature", zap.Error(err))
			}
		}
	}
}

// followKeys takes over at once what other nodes do to the keys, and gives a store
// that has lost them those that are known here.
func (a *App) followKeys(ctx context.Context, c *appRuntime) {
	if !a.engine.Shared() {
		return
	}
	keys.Follow(ctx, c.state.store, c.refreshKeys, func(err error) {
		if ctx.Err() == nil {
			a.log.Warn("looking at the signing keys in the storage", zap.Error(err))
		}
	})
}

// Stop ends what Start began. The storage stays open for requests that still
// run.
func (a *App) Stop() error {
	if a.stop != nil {
		a.stop()
	}
	if c := a.opened.Load(); c != nil {
		c.audit.Flush() // while there is a log to write to
	}
	return nil
}

// Cleanup lets go of the storage, once the last request that holds it is over.
func (a *App) Cleanup() error {
	a.opening.Lock()
	defer a.opening.Unlock()
	a.closed = true
	if a.last = a.opened.Swap(nil); a.last != nil {
		a.last.release()
	}
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
