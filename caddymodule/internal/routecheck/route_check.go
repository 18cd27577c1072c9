// Package routecheck checks the routes of the whole configuration. It refuses routes
// that lead around a gate, and warns of sites where no user can sign in or pass. It
// also deletes identity headers before the first handler of a site.
package routecheck

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// App has the data of the app for the checks.
type App struct {
	Issuer        *url.URL
	SessionCookie session.Cookie
	SharedStorage bool // other nodes use the storage, too
	Clients       *oauth.Clients

	// Groups returns the groups that users of some sign-in methods can have; open is
	// true if there may be others.
	Groups func(methods []string) (groups []string, open bool)

	// GateOf returns the gate that a handler is, and IsPortal reports whether it is a
	// portal.
	GateOf   func(handler any) (Gate, bool)
	IsPortal func(handler any) bool
}

// Gate has the data of a gate for the checks.
type Gate struct {
	Client            string
	Require           []string
	RuleGroups        []string      // that its rules name
	Conditions        []string      // of its rules: see [gate.Rules.Conditions]
	MaxAge            time.Duration // zero: any
	AllowClients      []string
	AllowUpgrade      []string
	Headers           gate.HeaderSettings
	LicenseActivation bool

	// The matchers of its policy: provisioned, and as JSON if they are not
	// provisioned yet.
	Matchers       caddyhttp.MatcherSets
	MatcherSetsRaw caddyhttp.RawMatcherSets
}

// placement has the places of gates among the handlers of all sites.
type placement struct {
	app     App
	web     *caddyhttp.App
	all     []*placedHandler
	gates   []placedGate
	portals []*placedHandler
}

// A placedGate is a gate and its place in the routes.
type placedGate struct {
	*placedHandler
	Gate
	client   *oauth.Client         // nil: a gate of licensed software, or one that is wrong
	matchers caddyhttp.MatcherSets // what its policy is for
}

func placementOf(app App, all []*placedHandler) *placement {
	p := &placement{app: app, all: all}
	for _, h := range all {
		if g, ok := app.GateOf(h.module); ok {
			client, _ := app.Clients.Get(g.Client)
			p.gates = append(p.gates, placedGate{h, g, client, matchersOf(g.Matchers, g.MatcherSetsRaw)})
		}
		if app.IsPortal(h.module) {
			p.portals = append(p.portals, h)
		}
	}
	return p
}

// CheckPlacement refuses unsafe orders of handlers, and logs a warning for orders
// that may be unsafe. Call it at the end of the app's Provision, so that `caddy
// validate` reports the same. web is nil if there is no HTTP app.
func CheckPlacement(app App, web *caddyhttp.App, log *zap.Logger) error {
	if web == nil {
		return nil
	}
	p := placementOf(app, placesOf(web))
	p.web = web
	if err := errors.Join(p.checkClients(), p.checkPortal(), p.checkIssuerHost(), p.checkGroups(), p.checkBefore(), p.checkErrorRoutes()); err != nil {
		return err
	}
	for _, w := range append(p.warnings(), p.siteWarnings()...) {
		log.Warn(w.text, w.fields...)
	}
	return nil
}

// open reports whether a request for a gate's hosts reaches a handler without this
// gate or another one. In an error route a gate for some requests does not replace
// one for all.
func (p *placement) open(g placedGate, h *placedHandler) bool {
	return onSameSite(g.placedHandler, h) && !slices.ContainsFunc(p.gates, func(other placedGate) bool {
		return other.guards(h) && (other.covers(h) || other.covers(g.placedHandler)) && (!h.inErrors() || !other.leavesOut(g))
	})
}

// leavesOut reports whether a gate passes unauthenticated requests that another one
// would not pass.
func (g placedGate) leavesOut(other placedGate) bool {
	return len(g.matchers) > 0 && len(other.matchers) == 0 || g.LicenseActivation && !other.LicenseActivation
}

// admitsMore reports whether a gate passes users whom another one would not pass.
func (g placedGate) admitsMore(other placedGate) bool {
	if other.MaxAge > 0 && (g.MaxAge == 0 || g.MaxAge > other.MaxAge) || slices.ContainsFunc(other.Conditions, func(condition string) bool {
		return !slices.Contains(g.Conditions, condition)
	}) {
		return true
	}
	return len(other.Require) > 0 && (len(g.Require) == 0 ||
		slices.ContainsFunc(g.Require, func(group string) bool { return !slices.Contains(other.Require, group) }))
}

// checkBefore refuses proxies before a gate at its site's own level.
func (p *placement) checkBefore() error {
	var errs []error
	for _, h := range p.all {
		if h.kind() != proxiesRequests || h.inErrors() || h.asksOnly() {
			continue
		}
		for _, g := range p.gates {
			if g.atSite() && p.open(g, h) {
				errs = append(errs, fmt.Errorf("sso_gate: %s comes before the gate of %s, which does not see its requests: they reach that backend unauthenticated; put sso_gate first (it is first without an order option of your own), and give it a matcher if something has to stay public, such as: @private not path /public/*",
					h, g.owner()))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// checkGroups refuses gates that no request reaches. Caddy uses one route of a group
// for each request, and has already used one when it reaches the routes inside. In a
// Caddyfile, handles in a named route have the same groups as other handles.
func (p *placement) checkGroups() error {
	var errs []error
	for _, g := range p.gates {
		for i, s := range g.steps {
			if s.group != "" && slices.ContainsFunc(g.steps[:i], func(around step) bool { return around.group == s.group }) {
				errs = append(errs, fmt.Errorf("sso_gate: the gate of %s sees no request: %s stands in a route of the group %q inside a route of the same group, and Caddy runs only one route of a group, so all requests pass unauthenticated; put sso_gate at the site's own level, or use a snippet and import in place of a named route and invoke",
					g.owner(), g.placedHandler, s.group))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// checkErrorRoutes refuses error routes that lead around a gate.
func (p *placement) checkErrorRoutes() error {
	var errs []error
	for _, h := range p.all {
		if h.kind() != proxiesRequests || !h.inErrors() {
			continue
		}
		for _, g := range p.gates {
			if p.open(g, h) && p.gatesUpstreamOf(g, h) {
				errs = append(errs, fmt.Errorf("sso_gate: %s, in an error route, leads to an upstream that the gate of %s protects: error routes run outside that gate, so a request that causes an error reaches it unauthenticated; put sso_gate before it in handle_errors, too, or answer errors with respond or file_server",
					h, g.owner()))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// gatesUpstreamOf reports whether a gate, or one beside it, protects an upstream of
// a proxy elsewhere on the site.
func (p *placement) gatesUpstreamOf(g placedGate, h *placedHandler) bool {
	return slices.ContainsFunc(p.all, func(o *placedHandler) bool {
		return o.kind() == proxiesRequests && o != h && onSameSite(g.placedHandler, o) && !p.open(g, o) && sharesUpstream(o.routeHandler, h.routeHandler)
	})
}

// unscrubbed returns a proxy without a gate before it.
func (p *placement) unscrubbed(inErrors bool) *placedHandler {
	for _, h := range p.all {
		if h.kind() == proxiesRequests && (h.steps[0].via == onError) == inErrors &&
			slices.ContainsFunc(p.gates, func(g placedGate) bool { return p.open(g, h) }) {
			return h
		}
	}
	return nil
}

// owner names the client of a gate, for a text.
func (g placedGate) owner() string {
	if g.LicenseActivation {
		return "licensed software on " + g.site()
	}
	return "client " + g.Client + " on " + g.site()
}

// site names a handler's site.
func (p *placedHandler) site() string {
	hosts, some := hostsOf(p.steps[0].sets)
	if !some {
		return "the site for every host of " + strings.Join(p.listen, ", ")
	}
	return strings.Join(hosts, ", ")
}

// String names a handler and its place, in the terms of a Caddyfile and of JSON.
func (p *placedHandler) String() string {
	where := []string{"on " + p.site()}
	for i, s := range p.steps {
		for _, set := range s.sets {
			for _, m := range set {
				switch m := m.(type) {
				case *caddyhttp.MatchPath:
					where = append(where, "path "+strings.Join(*m, " "))
				case *caddyhttp.MatchHost:
					if i > 0 {
						where = append(where, "host "+strings.Join(*m, " "))
					}
				}
			}
		}
	}
	return fmt.Sprintf("%s (%s; %s)", p.routeHandler, strings.Join(where, ", "), p.path)
}

func (p *placedHandler) fields() []zap.Field {
	return []zap.Field{zap.String("server", p.server), zap.String("site", p.site()), zap.String("handler", p.String())}
}
