package routecheck

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/httphandler"
	"github.com/caddy-sso/caddy-sso/internal/gate"
)

// A scrubber deletes identity headers, and headers that change the protocol, from
// every request for hosts with a gate, before a handler of these hosts gets it. It
// also does so in routes that no gate sees. There the placeholders of a user are
// empty. It is a matcher, since only the first matcher of the first route runs before
// everything else in a list of routes.
type scrubber struct {
	hosts   caddyhttp.MatchHost // nil: every host
	headers []*gate.Headers
	upgrade []string // to which protocols some gate lets a connection change

	// matches is its result as a matcher. It is false if it is a matcher set of its
	// own, beside those of its route.
	matches bool
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (s *scrubber) MatchWithError(r *http.Request) (bool, error) {
	if s.hosts != nil {
		if ours, err := s.hosts.MatchWithError(r); err != nil || !ours {
			return s.matches, err
		}
	}
	for _, h := range s.headers {
		h.Scrub(r)
	}
	gate.LimitUpgrade(r, s.upgrade)
	httphandler.SetUser(r, nil) // an error may lead past all gates
	return s.matches, nil
}

// ScrubServer has identity headers deleted on the routes of the server that a handler
// of ours is being provisioned for.
//
// Caddy compiles the routes of a server once it has provisioned them, then its
// error routes, then it provisions named routes. So the first of ours comes early
// enough, unless it stands in a named or in an error route and there is no other.
func ScrubServer(ctx caddy.Context, app App, server *caddyhttp.Server) error {
	places := placementOf(app, walkServer(server.Name(), server))
	s := places.scrubber()
	if len(s.headers) == 0 {
		return nil
	}
	if s.hosts != nil {
		if err := s.hosts.Provision(ctx); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		routes caddyhttp.RouteList
		errors bool
	}{{server.Routes, false}, {errorRoutes(server), true}} {
		if s.before(part.routes) {
			continue
		}
		if p := places.unscrubbed(part.errors); p != nil {
			return fmt.Errorf("sso_gate: %s, and no gate before it, on a site for every host whose only gate stands in a named route or in an error route: identity headers that a client made up cannot be deleted there; put sso_gate at the site's own level", p)
		}
	}
	return nil
}

func errorRoutes(server *caddyhttp.Server) caddyhttp.RouteList {
	if server.Errors == nil {
		return nil
	}
	return server.Errors.Routes
}

// scrubber is that of all gates of a server.
func (p *placement) scrubber() *scrubber {
	s := &scrubber{hosts: caddyhttp.MatchHost{}}
	for _, g := range p.gates {
		headers, err := gate.NewHeaders(g.Headers)
		if err != nil {
			continue // the gate itself says so
		}
		if !slices.ContainsFunc(s.headers, func(h *gate.Headers) bool { return h.Same(&headers) }) {
			s.headers = append(s.headers, &headers)
		}
		s.upgrade = append(s.upgrade, g.AllowUpgrade...)
		hosts, some := hostsOf(g.steps[0].sets)
		if !some {
			s.hosts = nil
		}
		for _, host := range hosts {
			if s.hosts != nil && !slices.Contains(s.hosts, host) {
				s.hosts = append(s.hosts, host)
			}
		}
	}
	return s
}

// before adds a scrubber before a list of routes. It returns false if the list is
// already compiled.
func (s *scrubber) before(routes caddyhttp.RouteList) bool {
	if len(routes) == 0 {
		return true
	}
	provisioned := !slices.ContainsFunc(routes, func(r caddyhttp.Route) bool { return r.HandlersRaw != nil })
	own := *s
	switch r := &routes[0]; {
	case len(r.MatcherSetsRaw) > 0: // which Caddy appends
		r.MatcherSets = append(caddyhttp.MatcherSets{{&own}}, r.MatcherSets...)
	case len(r.MatcherSets) > 0: // in place, since the compiled route uses the same slice
		own.matches = true
		r.MatcherSets[0] = append(caddyhttp.MatcherSet{&own}, r.MatcherSets[0]...)
	case provisioned:
		return false
	default:
		own.matches = true
		r.MatcherSets = caddyhttp.MatcherSets{{&own}}
	}
	return true
}

// Interface guard
var _ caddyhttp.RequestMatcherWithError = (*scrubber)(nil)
