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

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/httphandler"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/session"
)

func init() {
	caddy.RegisterModule(new(Gate))
}

// Gate stands before a protected backend. A request with a valid session goes on with
// the headers `X-SSO-User` (the user name), `X-SSO-Subject` (a UUID), `X-SSO-Email`
// and `X-SSO-Groups` (percent-encoded, joined by commas), and with the placeholders
// `{http.auth.user.id}` (the user name), `{http.auth.user.subject}`,
// `{http.auth.user.email}` and `{http.auth.user.groups}`. All of them are empty
// without a user. A connection may change to a WebSocket, and to the protocols of
// `allow_upgrade`. Without a session, the browser is sent to sign in if it asks for a
// page; any other request gets 401.
//
// The gate protects the requests that it sees, and serves its own paths
// (`/oauth2/sign_in`, `/oauth2/sign_out` and the callback). So put it at the site's
// own level, not into `handle`, `route` or a route with a matcher, and give it a
// matcher of its own. A `reverse_proxy` that leads around it is refused.
type Gate struct {
	// The requests that the policy applies to. Default: all.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// The ID of the client that this gate is. Its redirect URI on this site is the gate's
	// callback. Required without `license_activation`.
	Client string `json:"client,omitempty"`

	// Opens a window of its own to sign in. Default: false.
	Popup bool `json:"popup,omitempty"`

	// Where a browser without a session goes instead of the hosted page. It has to be
	// registered for the client. If it is on this site, the gate lets GET and HEAD
	// requests for this page pass, without identity. Its query may have the parameters
	// that the portal adds.
	FailAuthURL string `json:"fail_auth_url,omitempty"`

	// The groups of which a user needs at least one. A name may have commas in it, like
	// names of LDAP. Default: every user passes.
	Require []string `json:"require,omitempty"`

	// Further rules about which users pass: by name, e-mail address, claim, or sign-in
	// method.
	Rules *GateRules `json:"rules,omitempty"`

	// How long ago a user may have signed in: 5m or longer. Older: the user signs in again,
	// and comes back. Default: as long as the session lasts.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Whether an access token of this portal in the header `Authorization: Bearer …` is
	// accepted from a request without a session: `on` (default) or `off`. One of its
	// audiences has to be one of the client's. The backend gets the header unchanged.
	Bearer string `json:"bearer,omitempty"`

	// The IDs of the clients that pass with a token of their own (grant
	// `client_credentials`), also with `require`. The backend gets the header
	// `X-SSO-Client`. Default: none.
	AllowClients []string `json:"allow_clients,omitempty"`

	// Lets CORS preflight requests pass to the backend, without an identity. Default:
	// false: they get 401.
	AllowPreflight bool `json:"allow_preflight,omitempty"`

	// What the identity headers begin with. Every header of a request that begins with
	// it, in any spelling, is deleted. Default: `X-SSO-`.
	HeaderPrefix string `json:"header_prefix,omitempty"`

	// Further identity headers, with names of their own. Every such header of a request is
	// deleted, in any spelling.
	Headers *GateHeaders `json:"headers,omitempty"`

	// What becomes of the header `Authorization` that a client sends: `pass` (default), the
	// backend gets it; or `strip`, it is removed once the gate has decided.
	Authorization string `json:"authorization,omitempty"`

	// Lets paths pass that begin with two slashes, or have dot segments, `;`, `\`, `%2f`,
	// `%5c`, `%3f` or `%23` in them. Backends and matchers may read them differently.
	// Default: false: if the gate has a matcher, they get 400.
	AllowRawPath bool `json:"allow_raw_path,omitempty"`

	// The protocols, beside WebSocket, that a connection may change to with the header
	// `Upgrade`, such as `example` or `example/1.0`. The gate does not see what a client
	// sends afterwards, so protocols that carry HTTP are refused. Any other `Upgrade` is
	// removed from every request of the site. If a site has several gates, each has to
	// name the protocol. Default: none.
	AllowUpgrade []string `json:"allow_upgrade,omitempty"`

	// Whether the answer to a request with an identity gets `Cache-Control: private` if
	// the backend sends no `Cache-Control`, so that no shared cache keeps it: `on`
	// (default) or `off`.
	CachePrivate string `json:"cache_private,omitempty"`

	// Drops forms that are sent without a session. Default: false: a form of up to 64 KiB
	// from a page of the same origin is kept in its tab of the browser, and is sent after
	// the sign-in.
	DropForms bool `json:"drop_forms,omitempty"`

	// Stands before the backend of the License API, and asks no user to sign in. It
	// verifies a code or token of licensed software in the request, which becomes the
	// identity, with the headers `X-SSO-License-Product` and
	// `X-SSO-License-Customer-Account`. Every other request goes on without an
	// identity. Default: false.
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
	if g.client, err = g.checkReferences(gateReferences{
		client: g.app.clients.Get, hasMethod: g.app.hasMethod, groups: &g.app.groups, license: g.app.License != nil,
	}); err != nil {
		return err
	}
	if err := g.provisionHeaders(); err != nil {
		return err
	}
	if g.LicenseActivation {
		return nil
	}
	rules, err := g.Rules.parse()
	if err != nil {
		return err
	}
	if err := g.checkHolds(rules); err != nil {
		return err
	}
	if rules.Local = g.app.localMethods(); !rules.Empty() {
		if err := g.app.claims.addOf(rules.All()); err != nil {
			return err
		}
	}
	g.policy = gate.Policy{
		Groups: g.Require, Rules: rules, MaxAge: time.Duration(g.MaxAge), Popup: g.Popup, DropForms: g.DropForms,
		Bearer: g.Bearer != options.Off, Clients: g.AllowClients, Preflight: g.AllowPreflight,
	}
	if g.FailAuthURL != "" {
		if g.policy.FailAuthURL, err = url.Parse(g.FailAuthURL); err != nil {
			return fmt.Errorf("fail_auth_url %q: %w", g.FailAuthURL, err)
		}
	}
	return g.provisionMatchers(ctx)
}

// provisionMatchers compiles the matchers of the policy.
func (g *Gate) provisionMatchers(ctx caddy.Context) error {
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

// provisionHeaders checks the settings of headers, for a gate of either kind.
func (g *Gate) provisionHeaders() error {
	for _, protocol := range g.AllowUpgrade {
		if err := gate.CheckUpgrade(protocol); err != nil {
			return err
		}
	}
	if err := options.CheckOnOff("cache_private", g.CachePrivate); err != nil {
		return err
	}
	if err := checkAuthorization(g.Authorization); err != nil {
		return err
	}
	var err error
	if g.headers, err = gate.NewHeaders(g.headerSettings()); err != nil {
		return err
	}
	for _, claim := range g.headers.Claims() {
		if err := g.app.claims.add(claim); err != nil {
			return err
		}
	}
	return nil
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
	defer core.Release()
	pass, ok := gt.Handle(w, r)
	if !ok {
		return nil
	}
	httpapi.UnlimitBodyTime(w, r)
	defer pass.Release()
	httphandler.SetUser(pass.Request, pass.User)
	if err := next.ServeHTTP(g.answerWriter(w, pass), pass.Request); !errors.Is(err, session.ErrEnded) {
		return httphandler.HandleError(w, r, err, g.log)
	}
	gt.AnswerEnded(w, pass.Request)
	return nil
}

func (g *Gate) newGate(c *appruntime.Runtime) *gate.Gate {
	a := g.app
	made := &gate.Gate{
		Server:  c.Server,
		Keys:    c.Server.Keys,
		Client:  g.client,
		Pages:   a.pages.With(gate.AssetPrefix),
		Sites:   gate.NewSites(a.issuer, a.sessionCookie(), g.client),
		Policy:  g.policy,
		Headers: g.headers,

		StripAuthorization: g.Authorization == authorizationStrip,

		AllowRawPath: g.AllowRawPath,
		AllowUpgrade: g.AllowUpgrade,
		PortalSignIn: func(ctx context.Context, returnTo string) (string, error) {
			sealed, err := c.Server.Keys.Seal(ctx, portal.GateReturnLabel, []byte(g.client.ID+returnTo))
			if err != nil {
				return "", fmt.Errorf("sealing the return URL: %w", err)
			}
			return portal.ReturnTo(a.Issuer, sealed), nil
		},
		Shared:      httphandler.RequestVars,
		From:        httphandler.ClientOrigin,
		OriginalURI: httphandler.OriginalURI,
		Lifetime:    time.Duration(a.Session.Lifetime),
		Now:         c.State.Clock.Now,
		Log:         g.log,
	}
	if len(g.matchers) > 0 {
		made.Match = g.matchers.AnyMatchWithError
	}
	return made
}

// answerWriter is the writer for the answer to a request that passed.
func (g *Gate) answerWriter(w http.ResponseWriter, pass gate.Pass) http.ResponseWriter {
	if !pass.Known || g.CachePrivate == options.Off {
		return w
	}
	return httphandler.PrivateAnswer(w)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
