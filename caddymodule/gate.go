package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/session"
)

func init() {
	caddy.RegisterModule(new(Gate))
}

// Gate stands before a protected backend. A request with a valid session goes
// on with the headers `X-SSO-User` (the user name), `X-SSO-Subject` (a UUID),
// `X-SSO-Email` and `X-SSO-Groups` (percent-encoded, joined by commas), and
// with the placeholders `{http.auth.user.id}` (the user name),
// `{http.auth.user.subject}`, `{http.auth.user.email}` and
// `{http.auth.user.groups}`, all of which are empty where nobody is identified.
// A connection may become a WebSocket, and what `allow_upgrade` names. A page
// without a session is sent to sign in; any other request gets 401.
//
// The gate protects the requests that it sees, and has to serve its own paths
// (`/oauth2/sign_in`, `/oauth2/sign_out` and the callback). So it belongs to the
// site itself, and not into `handle`, `route` or a route with a matcher; give it
// a matcher of its own instead. A `reverse_proxy` that goes around it is refused.
type Gate struct {
	// The requests that the policy is for. Default: all.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// The ID of the client that this gate is. Its redirect URI on this site is
	// the gate's callback. Required, but for `license_activation`.
	Client string `json:"client,omitempty"`

	// Whether signing in takes a window of its own. Default: false.
	Popup bool `json:"popup,omitempty"`

	// Where a browser without a session goes instead of the hosted page. It has
	// to be registered for the client. If it is on this site, the gate lets GET
	// and HEAD of this very page through, without identity; its query may have
	// what the portal adds.
	FailAuthURL string `json:"fail_auth_url,omitempty"`

	// The groups of which a user needs at least one. A name may have commas in
	// it, as those of LDAP do. Default: any user passes.
	Require []string `json:"require,omitempty"`

	// Whether an access token of this portal in the header `Authorization:
	// Bearer …` stands for a session where there is none: `on` (default) or
	// `off`. One of its audiences has to be one of the client's. The header goes
	// on to the backend as it came.
	Bearer string `json:"bearer,omitempty"`

	// The IDs of the clients that pass by a token of their own (grant
	// `client_credentials`), with the header `X-SSO-Client`, whatever `require`
	// says. Default: none.
	AllowClients []string `json:"allow_clients,omitempty"`

	// Lets CORS preflights through to the backend, without an identity. Default:
	// false: they get 401.
	AllowPreflight bool `json:"allow_preflight,omitempty"`

	// What the identity headers begin with. Every header that begins with it,
	// in any spelling, is deleted from every request. Default: `X-SSO-`.
	HeaderPrefix string `json:"header_prefix,omitempty"`

	// Lets through paths that begin with two slashes, or have dot segments, `;`,
	// `\`, `%2f`, `%5c`, `%3f` or `%23` in them, which backends and matchers may
	// read differently, where the gate has a matcher. Default: false: they are
	// answered with 400.
	AllowRawPath bool `json:"allow_raw_path,omitempty"`

	// The protocols, beside WebSocket, that a connection may change to by the
	// header `Upgrade`, such as `example` or `example/1.0`. What a client sends
	// afterwards goes to the backend unseen, so none that carries HTTP is taken.
	// Any other `Upgrade` is removed, from every request of the site; of several
	// gates on one site each has to name a protocol. Default: none.
	AllowUpgrade []string `json:"allow_upgrade,omitempty"`

	// Whether the answer to a request with an identity gets `Cache-Control:
	// private` where the backend sends no `Cache-Control`, so that no shared
	// cache keeps it for others: `on` (default) or `off`.
	CachePrivate string `json:"cache_private,omitempty"`

	// Drops what a form sends without a session. Default: false: a form of up to
	// 64 KiB that a page of the same origin sends is kept in its tab of the
	// browser, and is sent on once its sender has signed in.
	DropForms bool `json:"drop_forms,omitempty"`

	// Stands before the backend of the License API instead of one for browsers:
	// nobody is asked to sign in. A code or token of licensed software in the
	// request is verified, and becomes the identity, with the headers
	// `X-SSO-License-Product` and `X-SSO-License-Customer-Account`; every other
	// request goes on without one. Default: false.
	LicenseActivation bool `json:"license_activation,omitempty"`

	app      *App
	log      *zap.Logger
	matchers caddyhttp.MatcherSets
	policy   gate.Policy
	headers  gate.Headers
	client   *oauth.Client
	gate     lazy[gate.Gate]
	license  lazy[licenseAPIs]
}

// CaddyModule returns the Caddy module information.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.sso_gate", New: func() caddy.Module { return new(Gate) }}
}

// Provision checks the settings against the app's.
func (g *Gate) Provision(ctx caddy.Context) error {
	var err error
	if g.app, err = appOf(ctx); err != nil || g.app == nil {
		return err
	}
	g.log = g.app.failures.Logger(ctx.Logger())
	if err := g.app.scrubServer(ctx); err != nil {
		return err
	}
	if g.LicenseActivation {
		return g.provisionLicense(ctx)
	}
	if g.Client == "" {
		return errNoClient
	}
	var known bool
	if g.client, known = g.app.clients.Get(g.Client); !known {
		return unknownClient(g.Client)
	}
	if g.client.AsksConsent() {
		return asksConsent(g.client)
	}
	if err := g.provisionHeaders(); err != nil {
		return err
	}
	if err := g.checkBearer(g.app.clients.Get); err != nil {
		return err
	}
	if _, err := g.nameGroups(&g.app.groups); err != nil {
		return err
	}
	g.policy = gate.Policy{
		Groups: g.Require, Popup: g.Popup, DropForms: g.DropForms,
		Bearer: g.Bearer != off, Clients: g.AllowClients, Preflight: g.AllowPreflight,
	}
	if g.FailAuthURL != "" {
		if !g.client.FailAuthURL(g.FailAuthURL) {
			return unregistered(g.FailAuthURL, g.Client)
		}
		if g.policy.FailAuthURL, err = url.Parse(g.FailAuthURL); err != nil {
			return fmt.Errorf("fail_auth_url %q: %w", g.FailAuthURL, err)
		}
	}
	if len(g.MatcherSetsRaw) > 0 {
		sets, err := ctx.LoadModule(g, "MatcherSetsRaw")
		if err != nil {
			return fmt.Errorf("match: %w", err)
		}
		if err := g.matchers.FromInterface(sets); err != nil {
			return fmt.Errorf("match: %w", err)
		}
	}
	return nil
}

// provisionHeaders checks what a gate of either kind makes of headers.
func (g *Gate) provisionHeaders() error {
	for _, protocol := range g.AllowUpgrade {
		if err := gate.CheckUpgrade(protocol); err != nil {
			return err
		}
	}
	if err := onOrOff("cache_private", g.CachePrivate); err != nil {
		return err
	}
	setDefault(&g.HeaderPrefix, gate.DefaultHeaderPrefix)
	var err error
	g.headers, err = gate.NewHeaders(g.HeaderPrefix)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	httpapi.LimitBodyTime(w, r)
	if g.LicenseActivation {
		return g.serveLicense(w, r, next)
	}
	gt, core, err := g.gate.get(g.app, g.newGate)
	if err != nil {
		closed := gate.Gate{Client: g.client, Pages: g.app.pages.With(gate.AssetPrefix), Log: g.log}
		closed.Unavailable(w, r, err)
		return nil
	}
	defer core.release()
	pass, ok := gt.Handle(w, r)
	if !ok {
		return nil
	}
	httpapi.UnlimitBodyTime(w, r)
	defer pass.Release()
	identify(pass.Request, pass.User)
	if err := next.ServeHTTP(g.private(w, pass), pass.Request); !errors.Is(err, session.ErrEnded) {
		return handledError(w, r, err, g.log)
	}
	gt.Ended(w, pass.Request)
	return nil
}

func (g *Gate) newGate(c *appRuntime) *gate.Gate {
	a := g.app
	made := &gate.Gate{
		Server:       c.server,
		Keys:         c.server.Keys,
		Client:       g.client,
		Pages:        a.pages.With(gate.AssetPrefix),
		Sites:        gate.NewSites(a.issuer, a.sessionCookie(), g.client),
		Policy:       g.policy,
		Headers:      g.headers,
		AllowRawPath: g.AllowRawPath,
		AllowUpgrade: g.AllowUpgrade,
		PortalSignIn: func(ctx context.Context, returnTo string) (string, error) {
			sealed, err := c.server.Keys.Seal(ctx, portal.GateReturnLabel, []byte(g.client.ID+returnTo))
			if err != nil {
				return "", fmt.Errorf("sealing the way back: %w", err)
			}
			return portal.ReturnTo(a.Issuer, sealed), nil
		},
		Shared:      requestTable,
		From:        requestOrigin,
		OriginalURI: originalURI,
		Lifetime:    time.Duration(a.Session.Lifetime),
		Now:         c.state.clock.Now,
		Log:         g.log,
	}
	if len(g.matchers) > 0 {
		made.Match = g.matchers.AnyMatchWithError
	}
	return made
}

// requestTable is Caddy's table of variables, which error routes have, too.
func requestTable(ctx context.Context) map[string]any {
	table, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	return table
}

// originalURI is what a request asked for before any rewrite.
func originalURI(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.URL.RequestURI()
	}
	return r.URL.RequestURI()
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
