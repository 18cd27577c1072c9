package caddymodule

import (
	"context"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// A standing is where a handler stands among the routes of a server.
type standing struct {
	server string
	site   *caddyhttp.Subroute     // nil: the server's own routes
	within []caddyhttp.MatcherSets // what a request has matched to come here

	// hidden says that it cannot see every request of its site: it is below a
	// matcher other than the site's host, or in handle or route.
	hidden bool
}

// A placedGate is a gate and where it stands.
type placedGate struct {
	*Gate
	standing
}

// placement finds gates, and the sites that the portal is on.
type placement struct {
	gates   []placedGate
	portals []standing
}

func placementOf(app any) *placement {
	p := new(placement)
	web, ok := app.(*caddyhttp.App)
	if !ok {
		return p
	}
	for name, server := range web.Servers {
		p.walk(server.Routes, 0, standing{server: name})
	}
	return p
}

// walk looks below routes. A site is a subroute of the server's routes, or,
// where it is for every host, those routes themselves.
func (p *placement) walk(routes caddyhttp.RouteList, depth int, at standing) {
	for _, route := range routes {
		conditional := !forHosts(route.MatcherSets) || depth > 0 && len(route.MatcherSets) > 0
		here := at
		here.within = append(slices.Clip(at.within), route.MatcherSets)
		here.hidden = depth > 1 || conditional
		for _, h := range route.Handlers {
			switch h := h.(type) {
			case *Gate:
				p.gates = append(p.gates, placedGate{h, here})
			case *Portal:
				p.portals = append(p.portals, here)
			case *caddyhttp.Subroute:
				below, next := here, depth+1
				switch {
				case conditional || (depth == 0 && !route.Terminal):
					next++ // handle or route, not a site
				case depth == 0:
					below.site = h
				}
				p.walk(h.Routes, next, below)
			}
		}
	}
}

// warnOfHidden warns of gates that cannot see every request of their site.
func (p *placement) warnOfHidden(log *zap.Logger) {
	for _, g := range p.gates {
		if g.hidden {
			log.Warn("sso_gate stands inside handle, route or a matcher, where it sees only their requests: forged identity headers reach other routes of the site, and its callback may not be served; put it at the site's own level, with a matcher of its own",
				zap.String("server", g.server), zap.String("client", g.Client))
		}
	}
}

// sameSite says whether two handlers stand on one site.
func (at standing) sameSite(other standing) bool {
	return at.server == other.server && at.site == other.site
}

// serves says whether requests for a host come here for certain.
func (at standing) serves(host string) bool {
	for _, sets := range at.within {
		if !takes(sets, host) {
			return false
		}
	}
	return true
}

// namesHosts says whether some matcher on the way here is for hosts.
func (at standing) namesHosts() bool {
	for _, sets := range at.within {
		for _, set := range sets {
			for _, m := range set {
				if matcherID(m) == "http.matchers.host" {
					return true
				}
			}
		}
	}
	return false
}

// takes says whether matchers take some request for a host, for certain: those
// that may look at the host in a way of their own do not count.
func takes(sets caddyhttp.MatcherSets, host string) bool {
	r := &http.Request{Host: host}
	r = r.WithContext(context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
	for _, set := range sets {
		fits := true
		for _, m := range set {
			switch matcherID(m) {
			case "http.matchers.host":
				matches, err := m.(caddyhttp.RequestMatcherWithError).MatchWithError(r)
				fits = fits && matches && err == nil
			case "http.matchers.path", "http.matchers.path_regexp", "http.matchers.method", "http.matchers.query",
				"http.matchers.protocol", "http.matchers.remote_ip", "http.matchers.client_ip":
			default:
				fits = false
			}
		}
		if fits {
			return true
		}
	}
	return len(sets) == 0
}

// forHosts says whether matchers look at the host alone, as those of a site do.
func forHosts(sets caddyhttp.MatcherSets) bool {
	for _, set := range sets {
		for _, m := range set {
			if matcherID(m) != "http.matchers.host" {
				return false
			}
		}
	}
	return true
}

func matcherID(m any) caddy.ModuleID {
	module, ok := m.(caddy.Module)
	if !ok {
		return ""
	}
	return module.CaddyModule().ID
}

// webApp returns Caddy's HTTP app, if there is one.
func webApp(ctx caddy.Context) any {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	return app
}
