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

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// App is what the checks have to know of the app.
type App struct {
	Issuer        *url.URL
	SessionCookie session.Cookie
	SharedStorage bool // other nodes use the storage, too
	Clients       *oauth.Clients

	// Groups are those that users of some sign-in methods can have; open says that
	// there may be others.
	Groups func(methods []string) (groups []string, open bool)

	// GateOf returns the gate that a handler is, and IsPortal reports whether it is a
	// portal.
	GateOf   func(handler any) (Gate, bool)
	IsPortal func(handler any) bool
}

// Gate is what the checks have to know of a gate.
type Gate struct {
	Client            string
	Require           []string
	AllowClients      []string
	AllowUpgrade      []string
	HeaderPrefix      string
	LicenseActivation bool

	// The matchers of its policy: provisioned, and as JSON if they are not provisioned yet.
	Matchers       caddyhttp.MatcherSets
	MatcherSetsRaw caddyhttp.RawMatcherSets
}

// placement is where gates stand among the handlers of all sites.
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

// CheckPlacement refuses what is not safe because of where handlers stand, and logs a
// warning for what may not be. It belongs to the end of the app's Provision, so that
// `caddy validate` says the same. web is nil if there is no HTTP app.
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

// open reports whether a request for a gate's hosts comes to a handler around this
// gate and all others. In an error route a gate for some requests is none in place
// of one for all.
func (p *placement) open(g placedGate, h *placedHandler) bool {
	return onSameSite(g.placedHandler, h) && !slices.ContainsFunc(p.gates, func(other placedGate) bool {
		return other.guards(h) && (other.covers(h) || other.covers(g.placedHandler)) && (!h.inErrors() || !other.leavesOut(g))
	})
}

// leavesOut says that a gate lets requests through unauthenticated that another
// one would not.
func (g placedGate) leavesOut(other placedGate) bool {
	return len(g.matchers) > 0 && len(other.matchers) == 0 || g.LicenseActivation && !other.LicenseActivation
}

// takesMore says that a gate lets users pass whom another one would not.
func (g placedGate) takesMore(other placedGate) bool {
	return len(other.Require) > 0 && (len(g.Require) == 0 ||
		slices.ContainsFunc(g.Require, func(group string) bool { return !slices.Contains(other.Require, group) }))
}

// checkBefore refuses proxies that come before a gate at its site's own level.
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

// checkGroups refuses gates that no request comes to, since Caddy takes one route
// of a group for each request, and has taken one when it comes to those inside it.
// A Caddyfile gives handles in a named route groups that others have, too.
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

// unscrubbed returns a proxy that no gate comes before.
func (p *placement) unscrubbed(inErrors bool) *placedHandler {
	for _, h := range p.all {
		if h.kind() == proxiesRequests && (h.steps[0].via == onError) == inErrors &&
			slices.ContainsFunc(p.gates, func(g placedGate) bool { return p.open(g, h) }) {
			return h
		}
	}
	return nil
}

// owner is whose a gate is, for a text.
func (g placedGate) owner() string {
	if g.LicenseActivation {
		return "licensed software on " + g.site()
	}
	return "client " + g.Client + " on " + g.site()
}

func (g Gate) prefix() string {
	if g.HeaderPrefix == "" {
		return gate.DefaultHeaderPrefix
	}
	return g.HeaderPrefix
}

// site names a handler's site.
func (p *placedHandler) site() string {
	hosts, some := hostsOf(p.steps[0].sets)
	if !some {
		return "the site for every host of " + strings.Join(p.listen, ", ")
	}
	return strings.Join(hosts, ", ")
}

// String says what a handler is and where, in the terms of a Caddyfile and of
// JSON.
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
