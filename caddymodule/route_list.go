package caddymodule

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// What is read here may be provisioned or not: Caddy provisions apps in no fixed
// order, and so the routes are looked at while some of them are still JSON.

const handlerIDs, matcherIDs = "http.handlers.", "http.matchers."

// A listed handler is one of a route's. Its module is nil where the JSON cannot
// be read, of which Caddy says more when it comes there.
type listed struct {
	id     string // such as reverse_proxy
	module any
}

func handlersOf(r *caddyhttp.Route) []listed {
	var all []listed
	if len(r.HandlersRaw) == 0 {
		for _, h := range r.Handlers {
			all = append(all, listed{strings.TrimPrefix(string(moduleID(h)), handlerIDs), h})
		}
	}
	for _, raw := range r.HandlersRaw {
		var named struct{ Handler string }
		_ = json.Unmarshal(raw, &named)
		all = append(all, listed{named.Handler, decoded(handlerIDs+named.Handler, raw)})
	}
	return all
}

// matchersOf leaves out what we put into the routes ourselves.
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
			set = append(set, matcher(name, modules[name]))
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

// matcher decodes a matcher and makes it ready, if it is one that is looked into.
func matcher(name string, raw json.RawMessage) any {
	m := decoded(matcherIDs+name, raw)
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

func decoded(id string, raw json.RawMessage) any {
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

// How a list of routes is come to.
type via int

const (
	inSequence via = iota // from the handler before, and on to the next
	byName                // the same, by invoke
	ifAsked               // where a handler likes, such as on an answer of the upstream
	onError
)

// A branch is a list of routes inside a handler.
type branch struct {
	path   string // below the handler
	routes caddyhttp.RouteList
	via    via
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
		all = append(all, branch{path, routes, ifAsked, false})
	})
	return all
}

var (
	routeList   = reflect.TypeFor[caddyhttp.RouteList]()
	handlerList = reflect.TypeFor[[]caddyhttp.MiddlewareHandler]()
	rawList     = reflect.TypeFor[[]json.RawMessage]()
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
		case v.Type().ConvertibleTo(routeList):
			yield(path, v.Convert(routeList).Interface().(caddyhttp.RouteList))
			return
		case v.Type() == handlerList:
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
			if field.Type == rawList && strings.Contains(field.Tag.Get("caddy"), "namespace=http.handlers ") {
				yield(below, caddyhttp.RouteList{{HandlersRaw: v.Field(i).Interface().([]json.RawMessage)}})
				continue
			}
			lookForRoutes(v.Field(i), below, depth+1, yield)
		}
	}
}
