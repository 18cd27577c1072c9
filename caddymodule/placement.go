package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// warnOfHiddenGates looks for gates that cannot see every request of their
// site: below a matcher other than the site's host, or in handle or route.
func warnOfHiddenGates(log *zap.Logger, app any) {
	web, ok := app.(*caddyhttp.App)
	if !ok {
		return
	}
	for name, server := range web.Servers {
		walk(server.Routes, 0, func(g *Gate) {
			log.Warn("sso_gate stands inside handle, route or a matcher, where it sees only their requests: forged identity headers reach other routes of the site, and its callback may not be served; put it at the site's own level, with a matcher of its own",
				zap.String("server", name), zap.String("client", g.Client))
		})
	}
}

// walk calls hidden for gates below the level of a site. A site is a subroute
// of the server's routes, or, where it is for every host, those routes
// themselves.
func walk(routes caddyhttp.RouteList, depth int, hidden func(*Gate)) {
	for _, route := range routes {
		conditional := !forHosts(route.MatcherSets) || depth > 0 && len(route.MatcherSets) > 0
		for _, h := range route.Handlers {
			switch h := h.(type) {
			case *Gate:
				if depth > 1 || conditional {
					hidden(h)
				}
			case *caddyhttp.Subroute:
				next := depth + 1
				if conditional || (depth == 0 && !route.Terminal) {
					next++ // handle or route, not a site
				}
				walk(h.Routes, next, hidden)
			}
		}
	}
}

// forHosts says whether matchers look at the host alone, as those of a site do.
func forHosts(sets caddyhttp.MatcherSets) bool {
	for _, set := range sets {
		for _, m := range set {
			switch m.(type) {
			case caddyhttp.MatchHost, *caddyhttp.MatchHost:
			default:
				return false
			}
		}
	}
	return true
}

// webApp returns Caddy's HTTP app, if there is one.
func webApp(ctx caddy.Context) any {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	return app
}
