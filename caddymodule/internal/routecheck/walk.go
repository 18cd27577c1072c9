package routecheck

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A placedHandler is a handler at one place of a server's routes. A handler in a
// named route has a place for each invoke that leads there.
type placedHandler struct {
	routeHandler
	server string
	listen []string
	path   string // in the JSON
	steps  []step // from the server's own routes down to it
}

// A step is a handler of a route that leads to a handler inside it.
type step struct {
	list           *caddyhttp.RouteList // which list of routes; each visit has its own
	via            routeEntry
	caught         bool
	route, handler int
	sets           caddyhttp.MatcherSets
	terminal       bool
	group          string
	first          bool // of its group: no other keeps a request for its hosts out
}

// placesOf walks over all routes of all servers.
func placesOf(web *caddyhttp.App) []*placedHandler {
	all := make([]*placedHandler, 0, len(web.Servers))
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		all = append(all, walkServer(name, web.Servers[name])...)
	}
	return all
}

// walkServer walks over all routes of a server: its own, those of errors, and the routes
// inside them.
func walkServer(name string, server *caddyhttp.Server) []*placedHandler {
	w := &walker{name: name, server: server, path: "apps/http/servers/" + name, groups: map[string][]*placedHandler{}}
	w.routes(branch{path: w.path + "/routes", routes: server.Routes}, nil)
	if server.Errors != nil {
		w.routes(branch{path: w.path + "/errors/routes", routes: server.Errors.Routes, via: onError}, nil)
	}
	return w.all
}

type walker struct {
	name, path string
	server     *caddyhttp.Server
	invoked    []string                    // the named routes that are being walked through
	groups     map[string][]*placedHandler // the routes of each, as far as they were walked through
	all        []*placedHandler
}

func (w *walker) routes(b branch, steps []step) {
	routes := b.routes
	for i := range routes {
		route := &routes[i]
		at := step{
			list: &routes, via: b.via, caught: b.caught, route: i, sets: matchersOf(route.MatcherSets, route.MatcherSetsRaw),
			terminal: route.Terminal, group: route.Group,
		}
		at.first = w.first(append(slices.Clip(steps), at))
		where := b.path
		if b.via != byInvoke {
			where = jsonPath(where, i)
		}
		for j, h := range handlersOf(route) {
			at.handler = j
			p := &placedHandler{
				routeHandler: h, server: w.name, listen: w.server.Listen,
				path: jsonPath(where+"/handle", j), steps: append(slices.Clip(steps), at),
			}
			w.all = append(w.all, p)
			if invoke, ok := h.module.(*caddyhttp.Invoke); ok {
				w.invoke(invoke.Name, p.steps)
			}
			for _, inside := range branchesOf(h.module) {
				inside.path = p.path + inside.path
				w.routes(inside, p.steps)
			}
		}
	}
}

// first reports whether the route at the end of some steps is the first of its group
// that a request reaches. Caddy remembers the used groups of a request for all
// routes, also for error routes: a route in another list excludes this one, too.
func (w *walker) first(steps []step) bool {
	group := steps[len(steps)-1].group
	if group == "" {
		return true
	}
	route := &placedHandler{server: w.name, steps: steps}
	earlier := w.groups[group]
	w.groups[group] = append(earlier, route)
	return !slices.ContainsFunc(earlier, func(other *placedHandler) bool {
		i, forked := forkOf(other, route)
		if !forked {
			return haveCommonHost(other, route)
		}
		a, b := &other.steps[i], &route.steps[i]
		beside := i == len(steps)-1 // in one list
		return beside || haveCommonHost(other, route) && !a.terminal && a.group != b.group
	})
}

// invoke walks through a named route. If it does not exist, or invokes itself, Caddy
// returns an error for each request.
func (w *walker) invoke(name string, steps []step) {
	route := w.server.NamedRoutes[name]
	if route == nil || slices.Contains(w.invoked, name) {
		return
	}
	w.invoked = append(w.invoked, name)
	w.routes(branch{path: w.path + "/named_routes/" + name, routes: caddyhttp.RouteList{*route}, via: byInvoke}, steps)
	w.invoked = w.invoked[:len(w.invoked)-1]
}

func jsonPath(path string, i int) string { return fmt.Sprintf("%s/%d", path, i) }

// WebApp returns Caddy's HTTP app, which may be provisioned only in part. It returns
// nil if there is none, or if Caddy refuses it.
func WebApp(ctx caddy.Context) *caddyhttp.App {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	web, _ := app.(*caddyhttp.App)
	return web
}
