package routecheck

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The routes here may be provisioned or not: Caddy provisions apps in no fixed order,
// so some of the routes are still JSON.

const handlerIDs, matcherIDs = "http.handlers.", "http.matchers."

// A routeHandler is a handler of a route. Its module is nil if its JSON cannot be
// read, which Caddy itself reports.
type routeHandler struct {
	id     string // such as reverse_proxy
	module any
}

func handlersOf(r *caddyhttp.Route) []routeHandler {
	var all []routeHandler
	if len(r.HandlersRaw) == 0 {
		for _, h := range r.Handlers {
			all = append(all, routeHandler{strings.TrimPrefix(string(moduleID(h)), handlerIDs), h})
		}
	}
	for _, raw := range r.HandlersRaw {
		var named struct{ Handler string }
		_ = json.Unmarshal(raw, &named)
		all = append(all, routeHandler{named.Handler, decodeModule(handlerIDs+named.Handler, raw)})
	}
	return all
}

// matchersOf returns matchers without those that this package adds to the routes.
func matchersOf(sets caddyhttp.MatcherSets, raw caddyhttp.RawMatcherSets) caddyhttp.MatcherSets {
	var all caddyhttp.MatcherSets
	for _, set := range sets {
		if e, ours := firstMatcher(set).(*scrubber); ours {
			if !e.matches {
				continue
			}
			set = set[1:]
		}
		all = append(all, set)
	}
	for _, modules := range raw {
		var set caddyhttp.MatcherSet
		for _, name := range slices.Sorted(maps.Keys(modules)) {
			set = append(set, decodeMatcher(name, modules[name]))
		}
		all = append(all, set)
	}
	return all
}

func firstMatcher(set caddyhttp.MatcherSet) any {
	if len(set) == 0 {
		return nil
	}
	return set[0]
}

// decodeMatcher decodes a matcher, and provisions it if the checks use it.
func decodeMatcher(name string, raw json.RawMessage) any {
	m := decodeModule(matcherIDs+name, raw)
	switch m := m.(type) {
	case *caddyhttp.MatchNot:
		m.MatcherSets = matchersOf(nil, m.MatcherSetsRaw)
	case *caddyhttp.MatchHost, *caddyhttp.MatchPath, *caddyhttp.MatchPathRE:
		if m.(caddy.Provisioner).Provision(caddy.Context{}) != nil {
			return nil
		}
	}
	return m
}

func decodeModule(id string, raw json.RawMessage) any {
	info, err := caddy.GetModule(id)
	if err != nil {
		return nil
	}
	v := reflect.ValueOf(info.New())
	if v.Kind() != reflect.Pointer {
		v = reflect.New(v.Type())
	}
	if json.Unmarshal(raw, v.Interface()) != nil {
		return nil
	}
	return v.Interface()
}

func moduleID(m any) caddy.ModuleID {
	module, ok := m.(caddy.Module)
	if !ok {
		return ""
	}
	return module.CaddyModule().ID
}

// A routeEntry is how requests enter a list of routes.
type routeEntry int

const (
	inSequence routeEntry = iota // from the handler before, and on to the next
	byInvoke                     // the same, by invoke
	onDemand                     // where a handler likes, such as on an answer of the upstream
	onError
)

// A branch is a list of routes inside a handler.
type branch struct {
	path   string // below the handler
	routes caddyhttp.RouteList
	via    routeEntry
	caught bool // an error in it may lead on past it
}

func branchesOf(handler any) []branch {
	if s, ok := handler.(*caddyhttp.Subroute); ok {
		all := []branch{{"/routes", s.Routes, inSequence, s.Errors != nil}}
		if s.Errors != nil {
			all = append(all, branch{"/errors/routes", s.Errors.Routes, onError, true})
		}
		return all
	}
	var all []branch
	lookForRoutes(reflect.ValueOf(handler), "", 0, func(path string, routes caddyhttp.RouteList) {
		all = append(all, branch{path, routes, onDemand, false})
	})
	return all
}

var (
	routeListType   = reflect.TypeFor[caddyhttp.RouteList]()
	handlerListType = reflect.TypeFor[[]caddyhttp.MiddlewareHandler]()
	rawListType     = reflect.TypeFor[[]json.RawMessage]()
)

// lookForRoutes finds the routes in a handler of any kind, such as those of
// handle_response, by the types of its exported fields.
func lookForRoutes(v reflect.Value, path string, depth int, yield func(string, caddyhttp.RouteList)) {
	if depth > 8 {
		return
	}
	switch v.Kind() { //nolint:exhaustive // nothing else has routes in it
	case reflect.Pointer:
		lookForRoutes(v.Elem(), path, depth+1, yield)
	case reflect.Map:
		for key, value := range v.Seq2() {
			lookForRoutes(value, path+"/"+key.String(), depth+1, yield)
		}
	case reflect.Slice:
		switch {
		case v.Type().ConvertibleTo(routeListType):
			yield(path, v.Convert(routeListType).Interface().(caddyhttp.RouteList))
			return
		case v.Type() == handlerListType:
			yield(path, caddyhttp.RouteList{{Handlers: v.Interface().([]caddyhttp.MiddlewareHandler)}})
			return
		}
		for i := range v.Len() {
			lookForRoutes(v.Index(i), jsonPath(path, i), depth+1, yield)
		}
	case reflect.Struct:
		if route, ok := reflect.TypeAssert[caddyhttp.Route](v); ok {
			yield(path, caddyhttp.RouteList{route})
			return
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() {
				continue
			}
			below := path
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
				below += "/" + name
			}
			if field.Type == rawListType && strings.Contains(field.Tag.Get("caddy"), "namespace=http.handlers ") {
				yield(below, caddyhttp.RouteList{{HandlersRaw: v.Field(i).Interface().([]json.RawMessage)}})
				continue
			}
			lookForRoutes(v.Field(i), below, depth+1, yield)
		}
	}
}
