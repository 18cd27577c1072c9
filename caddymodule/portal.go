package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/httphandler"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/loginapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oidc"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

func init() {
	caddy.RegisterModule(new(Portal))
}

// Portal signs users in, and serves the Login API and OpenID Connect. Its own paths
// are below `/api/oauth2/`, `/api/projects/`, `/oauth2/`, `/.well-known/` and
// `/sso/`, and `/api/token/validate` and `/api/users/me`. With `license` they are
// `/api/v4/sso_url` and `/api/v4/oauth_url`, too. It passes every other request to
// the next handler, without the portal's cookies, and without an `Upgrade` to another
// protocol than WebSocket. If no handler answers a path below `/api/`, `/oauth2/` or
// `/sso/`, the portal answers 404.
type Portal struct {
	app  *App
	log  *zap.Logger
	apis lazy[portalAPIs]
}

type portalAPIs struct {
	login  *loginapi.API
	oidc   *oidc.API
	hosted *portal.Hosted
}

// CaddyModule returns the Caddy module information.
func (*Portal) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.sso_portal", New: func() caddy.Module { return new(Portal) }}
}

// Provision finds the app.
func (p *Portal) Provision(ctx caddy.Context) error {
	var err error
	if p.app, err = appOf(ctx); err != nil || p.app == nil {
		return err
	}
	p.log = p.app.failures.Logger(ctx.Logger())
	return p.app.scrubServer(ctx)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	apis, core, err := p.apis.get(p.app, p.newAPIs)
	if err != nil {
		return p.closed(w, r, next, err)
	}
	own := httpapi.Canonical(r)
	path := own.URL.Path
	serve := apis.login.Endpoint(path)
	if serve == nil && core.License != nil {
		serve = core.License.Endpoint(path)
	}
	if serve == nil {
		serve = apis.oidc.Endpoint(path)
	}
	if serve == nil {
		serve = apis.hosted.Endpoint(path)
	}
	if serve == nil {
		core.Release()
		return p.handOn(w, r, own, next)
	}
	defer core.Release()
	httpapi.LimitBodyTime(w, r)
	serve(w, own)
	return nil
}

// closed answers while the store cannot be opened. It returns no error for that,
// since Caddy would log it with the query of the request.
func (p *Portal) closed(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, err error) error {
	login := &loginapi.API{Pages: p.app.pages, Log: p.log}
	standard := &oidc.API{Pages: p.app.pages, Log: p.log}
	hosted := &portal.Hosted{Pages: p.app.pages, Log: p.log}
	own := httpapi.Canonical(r)
	path := own.URL.Path
	license := &licenseapi.API{Log: p.log}
	httpapi.LimitBodyTime(w, r)
	switch serve := hosted.Endpoint(path); {
	case p.app.License != nil && license.Endpoint(path) != nil:
		license.Unavailable(w, err)
	case login.Endpoint(path) != nil:
		login.Unavailable(w, own, err)
	case standard.Endpoint(path) != nil:
		standard.Unavailable(w, own, err)
	case serve == nil:
		httpapi.UnlimitBodyTime(w, r)
		return p.handOn(w, r, own, next)
	case strings.HasPrefix(path, portal.AssetPrefix): // the page below needs them
		serve(w, own)
	default:
		hosted.Unavailable(w, own, err)
	}
	return nil
}

func (p *Portal) newAPIs(c *appruntime.Runtime) *portalAPIs {
	a := p.app
	login, standard := p.newLogin(c), p.newOpenID(c)
	hosted := &portal.Hosted{
		Server:   c.Server,
		Store:    c.State.Store,
		Keys:     c.Server.Keys,
		Methods:  a.methods,
		Attempts: c.State.Attempts,
		Limits:   a.limits,
		Pages:    a.pages,
		Session:  a.sessionCookie(),
		Browser:  session.NewCookie("browser", a.issuer, ""),
		Lifetime: time.Duration(a.Session.Lifetime),
		Requests: []portal.Request{
			{Page: portal.SignInPath, Continue: "/api/oauth2/auth", Consent: portal.ConsentPath, Deny: login.Deny, Check: func(_ context.Context, rawQuery string) (*oauth.Authorization, *oauth.Error) {
				request, refusal := loginapi.ParseAuthorize(rawQuery)
				if refusal != nil {
					return nil, refusal
				}
				return a.clients.CheckAuthorize(request)
			}},
			{Page: portal.OpenIDPath, Continue: "/oauth2/authorize", Consent: portal.OpenIDConsentPath, Deny: standard.Deny, Check: func(ctx context.Context, rawQuery string) (*oauth.Authorization, *oauth.Error) {
				request, refusal := oidc.ParseAuthorize(rawQuery)
				if refusal != nil {
					return nil, refusal
				}
				return c.Server.CheckOpenID(ctx, request)
			}},
		},
		From: httphandler.ClientOrigin,
		Now:  c.State.Clock.Now,
		Wall: c.State.Clock.Wall,
		Log:  p.log,

		CommonMethods: a.commonMethods(),
	}
	login.Widget, login.SignIn, login.Provider, login.Leave = hosted.Widget, hosted.SignIn, hosted.Provider, hosted.StartAtProvider
	return &portalAPIs{hosted: hosted, oidc: standard, login: login}
}

// newLogin returns the Login API, without the functions that the hosted page provides.
func (p *Portal) newLogin(c *appruntime.Runtime) *loginapi.API {
	a := p.app
	return &loginapi.API{
		Server:     c.Server,
		Cookie:     a.sessionCookie(),
		CrossSite:  a.Session.SameSite == sameSiteNone,
		HostedPage: func(rawQuery string) string { return portal.RedirectToSignIn(a.Issuer, rawQuery) },
		ConsentPage: func(rawQuery string) string {
			return portal.RedirectToConsent(a.Issuer, portal.ConsentPath, rawQuery)
		},
		SignOutPage: a.Issuer + portal.SignOutPath,
		Pages:       a.pages,
		From:        httphandler.ClientOrigin,
		Log:         p.log,
	}
}

func (p *Portal) newOpenID(c *appruntime.Runtime) *oidc.API {
	a := p.app
	return &oidc.API{
		Server:     c.Server,
		Cookie:     a.sessionCookie(),
		HostedPage: func(rawQuery string) string { return portal.RedirectToOpenID(a.Issuer, rawQuery) },
		ConsentPage: func(rawQuery string) string {
			return portal.RedirectToConsent(a.Issuer, portal.OpenIDConsentPath, rawQuery)
		},
		SessionsPage: func(rawQuery string) string { return a.Issuer + portal.SessionsPath + "?" + rawQuery },
		SignOutPage: func(query url.Values) string {
			return strings.TrimSuffix(a.Issuer+portal.SignOutPath+"?"+query.Encode(), "?")
		},
		Pages: a.pages,
		From:  httphandler.ClientOrigin,
		Log:   p.log,
	}
}

// parsePortal reads the directive. Syntax:
//
//	sso_portal
func parsePortal(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	if h.NextArg() {
		return nil, h.Errf("sso_portal takes no argument and no matcher, since it knows its own paths; leave them out")
	}
	if err := options.Block(h.Dispenser, nil); err != nil {
		return nil, err
	}
	if _, err := optionOf(h); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, new(Portal)), nil
}

// lazy creates a value from the runtime once, at the first request: handlers are
// provisioned before the store is open.
type lazy[T any] struct {
	mu    sync.Mutex
	value atomic.Pointer[lazyValue[T]]
}

type lazyValue[T any] struct {
	value *T
	core  *appruntime.Runtime
}

// get returns the value, and holds the runtime. The caller must release it.
func (l *lazy[T]) get(a *App, build func(*appruntime.Runtime) *T) (*T, *appruntime.Runtime, error) {
	m := l.value.Load()
	if m == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if m = l.value.Load(); m == nil {
			c, err := a.runtime()
			if err != nil {
				return nil, nil, err
			}
			m = &lazyValue[T]{value: build(c), core: c}
			l.value.Store(m)
		}
	}
	if !m.core.Hold() {
		return nil, nil, storage.ErrUnavailable
	}
	return m.value, m.core, nil
}

var errNoApp = errors.New(`the app "sso" is missing; it has the sign-in methods and the clients: add it to the apps of the configuration`)

// appOf finds the sso app of a configuration. If the app is wrong, it returns nil
// without an error: Caddy refuses the configuration because of the app, in a short
// message. An error of a handler would come after the names of all modules around the
// handler.
func appOf(ctx caddy.Context) (*App, error) {
	a, err := ctx.AppIfConfigured("sso")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, errNoApp
	}
	app, _ := a.(*App)
	return app, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Portal)(nil)
	_ caddyhttp.MiddlewareHandler = (*Portal)(nil)
)
