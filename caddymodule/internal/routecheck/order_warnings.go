package routecheck

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/gate"
)

// A warning is logged once, for all gates that it is about.
type warning struct {
	text   string
	fields []zap.Field
}

// warnings returns warnings about a configuration that works, but may be a mistake.
func (p *placement) warnings() (all []warning) {
	said := map[string]bool{} // by place
	for _, h := range p.all {
		if text := p.doubt(h); text != "" && !said[h.path] {
			said[h.path] = true
			all = append(all, warning{"sso_gate: " + text, h.fields()})
		}
	}
	for _, g := range p.gates {
		for _, text := range []string{p.unseenRoutes(g), p.unseenCallback(g), p.openPaths(g)} {
			if text == "" || said[text+g.path] {
				continue
			}
			said[text+g.path] = true
			all = append(all, warning{"sso_gate: " + text, append(g.fields(), zap.String("client", g.Client))})
		}
	}
	return all
}

// doubt is the warning about a handler that is not a gate.
func (p *placement) doubt(h *placedHandler) string {
	kind := h.kind()
	for _, g := range p.gates {
		if p.laxInErrors(g, h) {
			return "the gate before this backend in an error route lets more users pass than the gate of its site, by require group: a signed-in user whose request causes an error reaches it; give the gate in handle_errors the same groups"
		}
		if kind == passesOn || !p.open(g, h) {
			continue
		}
		switch {
		case h.inErrors() && kind != answersItself:
			return "a backend in an error route runs outside the gate of its site: it gets no identity, and a request that causes an error reaches it; put sso_gate before it in handle_errors, too, if it is not public"
		case h.inErrors() && p.servesFilesOf(g, h):
			return "file_server in an error route serves the file of the request's path, and runs outside the gate of its site, which protects files: a request that causes an error may read them; put rewrite * /{err.status_code}.html before it, or sso_gate"
		case h.inErrors() || !h.before(g.placedHandler):
		case kind == unknownKind:
			return "a handler that caddy-sso does not know comes before the gate: if it answers by itself, as a cache does, it answers unauthenticated requests, too; put sso_gate before it"
		case kind == proxiesRequests && h.asksOnly():
			return "forward_auth comes before the gate: it gets requests that are not authenticated yet; put sso_gate before it, or remove one of the two"
		case kind == answersItself && h.shadows(g.placedHandler):
			return "this handler answers every request before the gate: the gate protects nothing behind it; put sso_gate first (it is first without an order option of your own)"
		}
	}
	if kind != passesOn && kind != unknownKind && slices.ContainsFunc(p.portals, func(portal *placedHandler) bool {
		return onSameSite(portal, h) && h.before(portal) && h.shadows(portal)
	}) {
		return "this handler answers every request before sso_portal, so that no user can sign in; put sso_portal first (it is first without an order option of your own)"
	}
	return ""
}

// laxInErrors reports whether a proxy of an error route gives users access to an
// upstream of the site that the gate there would deny.
func (p *placement) laxInErrors(g placedGate, h *placedHandler) bool {
	return h.kind() == proxiesRequests && h.inErrors() && !g.inErrors() && onSameSite(g.placedHandler, h) && !p.open(g, h) && p.gatesUpstreamOf(g, h) &&
		!slices.ContainsFunc(p.gates, func(o placedGate) bool { return o.guards(h) && !o.admitsMore(g) })
}

// shadows reports whether a handler answers all requests before they reach another.
func (p *placedHandler) shadows(o *placedHandler) bool {
	return p.covers(o) && !slices.ContainsFunc(p.steps, func(s step) bool { return !forHosts(s.sets) || s.via == onDemand })
}

// unseenRoutes reports the routes that a gate in handle, route or invoke does not see.
func (p *placement) unseenRoutes(g placedGate) string {
	if g.atSite() || g.inErrors() {
		return ""
	}
	var beside []string
	for _, h := range p.all {
		if h.kind() == passesOn || h.aborts() || h.inErrors() || h.asksOnly() || !p.open(g, h) {
			continue
		}
		if first := h.before(g.placedHandler); first && h.kind() != proxiesRequests {
			continue // an exception that is written before the gate; or it is said of the handler
		}
		if place := h.String(); !slices.Contains(beside, place) {
			beside = append(beside, place)
		}
	}
	if len(beside) == 0 {
		return ""
	}
	return "the gate stands in handle, route or invoke, and requests to other routes of its site pass unauthenticated: " + strings.Join(beside, "; ") +
		"; to protect them, put sso_gate at the site's own level, with a matcher of its own"
}

// unseenCallback reports that a sign-in could not finish, because its gate does not
// see the callback.
func (p *placement) unseenCallback(g placedGate) string {
	if g.client == nil || !g.conditional() {
		return ""
	}
	for _, site := range gate.NewSites(p.app.Issuer, p.app.SessionCookie, g.client) {
		host := hostname(site.Host)
		if site.Portal || !g.forHost(host) {
			continue
		}
		for _, path := range []string{site.Callback, gate.SignInPath} {
			if !slices.ContainsFunc(p.gates, func(o placedGate) bool {
				return o.server == g.server && o.client == g.client && o.sees(host, path)
			}) {
				return "the gate stands below a matcher, and does not see " + path + " of " + site.Origin + ", so that sign-ins there may fail; put sso_gate at the site's own level, with a matcher of its own"
			}
		}
	}
	return ""
}

// forHost reports whether a request for a host may come here.
func (p *placedHandler) forHost(host string) bool {
	for _, hosts := range p.hosts() {
		if !slices.ContainsFunc(hosts, func(pattern string) bool { return sameHost(pattern, host, true) }) {
			return false
		}
	}
	return true
}

// openPaths reports the paths that a policy for everything below them does not protect.
func (p *placement) openPaths(g placedGate) string {
	var open []string
	for _, set := range g.matchers {
		i := slices.IndexFunc(set, func(m any) bool {
			_, ok := m.(*caddyhttp.MatchPath)
			return ok
		})
		if i < 0 {
			continue
		}
		for _, pattern := range *set[i].(*caddyhttp.MatchPath) {
			bare, below := strings.CutSuffix(pattern, "/*")
			if !below || strings.Trim(bare, "/*") == "" || strings.Contains(bare, "{") || slices.Contains(open, bare) {
				continue
			}
			if !p.covered(g, set, strings.ReplaceAll(bare, "*", "x")) {
				open = append(open, bare)
			}
		}
	}
	if len(open) == 0 {
		return ""
	}
	return "the gate protects the paths below " + strings.Join(open, " and ") + ", but not " + strings.Join(open, " and ") +
		" itself; name both, such as: @private path " + open[0] + " " + open[0] + "/*"
}

// covered reports whether a gate of the site protects a path like this gate protects
// the paths below it, for the requests of the matcher set.
func (p *placement) covered(g placedGate, set caddyhttp.MatcherSet, path string) bool {
	r := pageRequest("", path)
	return slices.ContainsFunc(p.gates, func(o placedGate) bool {
		if o.admitsMore(g) || o.LicenseActivation || !onSameSite(g.placedHandler, o.placedHandler) || !o.covers(g.placedHandler) || o.conditional() && o.placedHandler != g.placedHandler {
			return false
		}
		return len(o.matchers) == 0 || slices.ContainsFunc(o.matchers, func(theirs caddyhttp.MatcherSet) bool {
			var rest caddyhttp.MatcherSet
			for _, m := range theirs {
				if !slices.ContainsFunc(set, func(same any) bool { return sameMatcher(m, same) }) {
					rest = append(rest, m)
				}
			}
			matches, known := matchesRequest(caddyhttp.MatcherSets{rest}, r)
			return matches && known
		})
	})
}
