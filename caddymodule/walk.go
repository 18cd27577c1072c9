package caddymodule

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A placed handler is one handler at one place of a server's routes. One that is
// in a named route has as many places as it is invoked from.
type placed struct {
	listed
	server string
	listen []string
	path   string // in the JSON
	way    []step // from the server's own routes down to it
}

// A step is a handler of a route, on the way to what is inside it.
type step struct {
	list           *caddyhttp.RouteList // which list of routes; each visit has its own
	via            via
	route, handler int
	sets           caddyhttp.MatcherSets
	terminal       bool
	group          string
	first          bool // of its group
}

// placesOf walks over all routes of all servers.
func placesOf(web *caddyhttp.App) []*placed {
	var all []*placed
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		all = append(all, walk(name, web.Servers[name])...)
	}
	return all
}

// walk walks over all routes of a server: its own, those of errors, and whatever
// is inside them.
func walk(name string, server *caddyhttp.Server) []*placed {
	w := &walker{name: name, server: server, path: "apps/http/servers/" + name}
	w.routes(server.Routes, w.path+"/routes", inSequence, nil)
	if server.Errors != nil {
		w.routes(server.Errors.Routes, w.path+"/errors/routes", onError, nil)
	}
	return w.all
}

type walker struct {
	name, path string
	server     *caddyhttp.Server
	invoked    []string // the named routes that are being walked through
	all        []*placed
}

func (w *walker) routes(routes caddyhttp.RouteList, path string, via via, way []step) {
	groups := map[string]bool{}
	for i := range routes {
		route := &routes[i]
		at := step{
			list: &routes, via: via, route: i, sets: matchersOf(route.MatcherSets, route.MatcherSetsRaw),
			terminal: route.Terminal, group: route.Group, first: !groups[route.Group],
		}
		groups[route.Group] = true
		where := path
		if via != byName {
			where = jsonPath(path, i)
		}
		for j, h := range handlersOf(route) {
			at.handler = j
			p := &placed{
				listed: h, server: w.name, listen: w.server.Listen,
				path: jsonPath(where+"/handle", j), way: append(slices.Clip(way), at),
			}
			w.all = append(w.all, p)
			if invoke, ok := h.module.(*caddyhttp.Invoke); ok {
				w.invoke(invoke.Name, p.way)
			}
			for _, b := range branchesOf(h.module) {
				w.routes(b.routes, p.path+b.path, b.via, p.way)
			}
		}
	}
}

// invoke walks through a named route. One that is not there, or that comes back
// to itself, ends in an error of Caddy's for each request.
func (w *walker) invoke(name string, way []step) {
	route := w.server.NamedRoutes[name]
	if route == nil || slices.Contains(w.invoked, name) {
		return
	}
	w.invoked = append(w.invoked, name)
	w.routes(caddyhttp.RouteList{*route}, w.path+"/named_routes/"+name, byName, way)
	w.invoked = w.invoked[:len(w.invoked)-1]
}

func jsonPath(path string, i int) string { return fmt.Sprintf("%s/%d", path, i) }

// webApp returns Caddy's HTTP app, which may be under way; nil: there is none,
// or it is wrong, which Caddy says.
func webApp(ctx caddy.Context) *caddyhttp.App {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	web, _ := app.(*caddyhttp.App)
	return web
}
