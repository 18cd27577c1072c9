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

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	_ "github.com/caddy-sso/caddy-sso/caddymodule/internal/command" // registers `caddy sso`
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/customers"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/routecheck"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
	"github.com/caddy-sso/caddy-sso/storage"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the configuration that portal and gates share: the sign-in methods, the
// registered applications, the lifetime of sessions and the storage.
type App struct {
	// The portal's public origin, such as `https://login.example.com`: the one that
	// browsers use, also behind a proxy. It is the `iss` of all tokens. http is for
	// loopback only. Required.
	Issuer string `json:"issuer,omitempty"`

	// The engine that keeps sessions, codes and grants: `file`, `memory` or
	// `redis`. Default: `file`.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=sso.storage inline_key=engine"`

	// The format of stored sessions, grants and codes: `1`, which all releases read, or
	// `2`, which takes about half the space. With `2`, all nodes have to run this release
	// or a later one. Both are read. Default: 1.
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
	claims  claimNames
	limits  signin.AttemptLimits
	pages   *page.Pages
	vault   keys.Vault // if nodes do not share the engine
	log     *zap.Logger

	scrubbed []*caddyhttp.Server // whose routes delete identity headers

	storeLog *zap.Logger        // one line when the store stops to answer, and one when it answers again
	failures logthrottle.ByKind // throttles errors of the app and its handlers

	opening sync.Mutex
	closed  bool                // guarded by opening
	last    *appruntime.Runtime // what was open when closed; guarded by opening
	opened  atomic.Pointer[appruntime.Runtime]
	stop    context.CancelFunc

	licensing licensing       // of the License API, if there is one
	customers *customers.File // of its file; nil: there is none
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso", New: func() caddy.Module { return new(App) }}
}

// Provision checks the configuration. It opens nothing, since `caddy validate` calls it,
// too, beside a running server.
func (a *App) Provision(ctx caddy.Context) error {
	a.storeLog = ctx.Logger()
	a.log = a.failures.Logger(a.storeLog)
	a.vault = appruntime.NewCaddyVault(ctx.Storage())
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
	if err := a.checkReferences(a.hasMethod); err != nil {
		return err
	}
	if err := a.loadLicense(); err != nil {
		return err
	}
	a.loadClientMethods()
	return routecheck.CheckPlacement(a.forRouteCheck(), routecheck.WebApp(ctx), a.log) // last, since gates that it provisions ask for the app
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
		return fmt.Errorf("storage: module %T is not a storage engine; it has to be a caddymodule.Engine", m)
	}
	a.engine = engine
	return nil
}

var errNoSignin = errors.New("signin: no sign-in method is configured; add for example: signin local { user <name> <hash> }; if only customers of the License API sign in: license { customers <file> … }")

// checkSignin refuses a configuration without a sign-in method. The customers in a
// file have providers of their own.
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
	if err := signinmethods.CheckOwnSubjects(a.SigninRaw); err != nil {
		return err
	}
	ms, err := ctx.LoadModule(a, "SigninRaw")
	if err != nil {
		return fmt.Errorf("signin: %w", err)
	}
	for _, m := range ms.([]any) {
		method, ok := m.(MethodModule)
		if !ok {
			return fmt.Errorf("signin: module %T is not a sign-in method; it has to be a caddymodule.MethodModule", m)
		}
		w, err := method.Method()
		if err != nil {
			return fmt.Errorf("signin: %w", err)
		}
		for _, other := range a.methods {
			if other.ID() == w.ID() {
				return fmt.Errorf("duplicate signin %s; give every sign-in method an ID of its own", w.ID())
			}
		}
		a.methods = append(a.methods, w)
		if local, ok := m.(*signinmethods.Local); ok {
			if err := local.AddGroups(&a.groups); err != nil {
				return fmt.Errorf("signin local: %w", err)
			}
		}
		if provider, ok := w.(*provider.Method); ok && a.clients.UseAvatar() {
			provider.UseAvatar()
		}
		a.claims.readBy(w)
		if limiter, ok := m.(AttemptLimiter); ok && a.limits == (signin.AttemptLimits{}) {
			a.limits = limiter.AttemptLimits()
		}
	}
	if err := a.methods.CheckLinks(); err != nil {
		return err
	}
	if a.limits == (signin.AttemptLimits{}) { // no method says so
		a.limits = signinmethods.DefaultAttemptLimits
	}
	return nil
}

// Start opens the storage and the keys, so that an error in them shows at once. A
// store on another machine may start later than this server.
func (a *App) Start() error {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	c, err := a.runtime()
	if err != nil {
		return err
	}
	c.State.CheckClock(ctx)
	if err := c.Server.Keys.Load(ctx); err != nil {
		if !errors.Is(err, storage.ErrUnavailable) {
			return fmt.Errorf("loading the signing keys: %w", err)
		}
		a.log.Warn("the storage does not answer yet; users can sign in once it does", zap.Error(err))
	}
	if err := a.startLicense(ctx, c); err != nil {
		return err
	}
	go a.maintain(ctx, c)
	go a.followKeys(ctx, c)
	go c.Rechecks.Run(ctx)
	go c.DisabledUsers.Run(ctx)
	if a.customers != nil {
		go a.customers.EndDisabled(ctx, func(ids []string) (*oauth.Search, error) { return c.State.Searches.Methods(c.Server, ids) })
	}
	for _, method := range a.methods {
		if watcher, ok := method.(signin.Watcher); ok {
			go watcher.Watch(ctx)
		}
	}
	return nil
}

// reviewEvery is how often attached requests are compared with the users who may sign in
// now.
const reviewEvery = 2 * time.Second

// maintain rotates the signing keys, and closes the open requests of users who may not
// sign in any more: a reload or an edited file may have removed them.
func (a *App) maintain(ctx context.Context, c *appruntime.Runtime) {
	ticker, review := time.NewTicker(time.Hour), time.NewTicker(reviewEvery)
	defer ticker.Stop()
	defer review.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-review.C:
			c.Server.CloseRequests(func(u session.User) bool {
				_, current := a.methods.Current(u)
				return !current
			})
		case <-ticker.C:
			if err := c.Server.Keys.Maintain(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("rotating the signing keys", zap.Error(err))
			}
			if c.Signature == nil {
				continue
			}
			if err := c.Signature.Maintain(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("storing the key of LicenseSignature", zap.Error(err))
			}
		}
	}
}

// followKeys applies key changes of other nodes immediately. If the store has lost
// the keys, it writes those of this node.
func (a *App) followKeys(ctx context.Context, c *appruntime.Runtime) {
	if !a.engine.Shared() {
		return
	}
	keys.Follow(ctx, c.State.Store, c.RefreshKeys, func(err error) {
		if ctx.Err() == nil {
			a.log.Warn("reading the signing keys from the storage", zap.Error(err))
		}
	})
}

// Stop stops the goroutines of Start. The storage stays open for requests that still
// run.
func (a *App) Stop() error {
	if a.stop != nil {
		a.stop()
	}
	if c := a.opened.Load(); c != nil {
		c.Audit.Flush() // while there is a log to write to
	}
	return nil
}

// Cleanup releases the storage after the last request that holds it.
func (a *App) Cleanup() error {
	a.opening.Lock()
	defer a.opening.Unlock()
	a.closed = true
	if a.last = a.opened.Swap(nil); a.last != nil {
		a.last.Release()
	}
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
