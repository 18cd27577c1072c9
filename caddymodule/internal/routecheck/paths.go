package routecheck

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// inErrors reports whether a handler runs for requests that ended with an error.
func (p *placedHandler) inErrors() bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return s.via == onError })
}

// always reports whether every request for its hosts takes a step.
func (s step) always() bool { return forHosts(s.sets) && (s.group == "" || s.first) }

// conditional reports whether a handler does not see all requests for its hosts.
func (p *placedHandler) conditional() bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return !s.always() || s.via == onDemand || s.via == onError })
}

// atSite reports whether a handler is at its site's own level. A site is a subroute
// of the server's routes, or those routes if it is for every host.
func (p *placedHandler) atSite() bool {
	if p.conditional() || len(p.steps) > 2 {
		return false
	}
	return len(p.steps) == 1 || p.steps[1].via == inSequence && p.steps[0].isSite()
}

// isSite reports whether a step is a site of its own, as adapters make them.
func (s step) isSite() bool { return forHosts(s.sets) && (s.terminal || namesHosts(s.sets)) }

// forkOf returns the step at which the paths to two handlers separate: within one
// list of routes.
func forkOf(p, o *placedHandler) (at int, ok bool) {
	if p.server != o.server {
		return 0, false
	}
	for i := range min(len(p.steps), len(o.steps)) {
		a, b := &p.steps[i], &o.steps[i]
		if a.list != b.list {
			return 0, false
		}
		if a.route != b.route || a.handler != b.handler {
			return i, true
		}
	}
	return 0, false
}

// before reports whether requests reach p first, and then o.
func (p *placedHandler) before(o *placedHandler) bool {
	if p.contains(o) {
		return true
	}
	i, ok := forkOf(p, o)
	if !ok {
		return false
	}
	a, b := p.steps[i], o.steps[i]
	if a.route != b.route {
		return a.route < b.route && (a.group == "" || a.group != b.group)
	}
	return a.handler < b.handler
}

// contains reports whether o is inside p.
func (p *placedHandler) contains(o *placedHandler) bool {
	last := len(p.steps) - 1
	if p.server != o.server || len(o.steps) <= len(p.steps) {
		return false
	}
	a, b := &p.steps[last], &o.steps[last]
	return a.list == b.list && a.route == b.route && a.handler == b.handler
}

// guards reports whether every request for p's hosts that reaches o has passed p.
func (p *placedHandler) guards(o *placedHandler) bool {
	i, ok := forkOf(p, o)
	if !ok || !p.before(o) {
		return false
	}
	for j, s := range p.steps[i:] {
		shared := j == 0 && s.route == o.steps[i].route
		if !shared && !s.always() || j > 0 && (s.caught || s.via == onDemand || s.via == onError) {
			return false
		}
	}
	return true
}

// apart reports whether requests that reach p, or another part of a route for its
// hosts, never reach o; at is that route.
func (p *placedHandler) apart(o *placedHandler) (at step, apart bool) {
	i, ok := forkOf(p, o)
	if !ok {
		return step{}, false
	}
	a, b := p.steps[i], o.steps[i]
	exclusive := a.terminal && (a.group == "" || a.first) || a.group != "" && a.group == b.group
	return a, a.route < b.route && exclusive && forHosts(a.sets)
}

// onSameSite reports whether p and o are on one site and for one host, so that their
// order decides which of them gets a request.
func onSameSite(p, o *placedHandler) bool {
	if p.server != o.server || !haveCommonHost(p, o) {
		return false
	}
	if _, apart := p.apart(o); apart {
		return false
	}
	// The first of the two, with hosts of its own, is a site of its own, unless it
	// leaves no request for the other.
	at, apart := o.apart(p)
	return !apart || !namesHosts(at.sets) || o.covers(p)
}

// hosts are the patterns of hosts that a request has to match, one list for each
// step that has some.
func (p *placedHandler) hosts() [][]string {
	var all [][]string
	for _, s := range p.steps {
		if hosts, some := hostsOf(s.sets); some {
			all = append(all, hosts)
		}
	}
	return all
}

// hostsOf returns the hosts of matchers, if they are only for some hosts.
func hostsOf(sets caddyhttp.MatcherSets) (hosts []string, some bool) {
	for _, set := range sets {
		i := slices.IndexFunc(set, isHost)
		if i < 0 {
			return nil, false
		}
		hosts = append(hosts, *set[i].(*caddyhttp.MatchHost)...)
	}
	return hosts, len(sets) > 0
}

func namesHosts(sets caddyhttp.MatcherSets) bool {
	_, some := hostsOf(sets)
	return some
}

// haveCommonHost reports whether both may be for the same host.
func haveCommonHost(p, o *placedHandler) bool {
	for _, a := range p.hosts() {
		for _, b := range o.hosts() {
			if !slices.ContainsFunc(a, func(x string) bool {
				return slices.ContainsFunc(b, func(y string) bool { return sameHost(x, y, true) })
			}) {
				return false
			}
		}
	}
	return true
}

// covers reports whether p is for all hosts that o is for.
func (p *placedHandler) covers(o *placedHandler) bool {
	theirs := o.hosts()
	for _, a := range p.hosts() {
		if !slices.ContainsFunc(theirs, func(b []string) bool {
			return !slices.ContainsFunc(b, func(y string) bool {
				return !slices.ContainsFunc(a, func(x string) bool { return sameHost(x, y, false) })
			})
		}) {
			return false
		}
	}
	return true
}

// sameHost reports whether pattern x matches the host y. With eitherWay each of the
// two may be the pattern.
func sameHost(x, y string, eitherWay bool) bool {
	if strings.EqualFold(x, y) || eitherWay && strings.Contains(x+y, "{") {
		return true
	}
	a, b := strings.Split(x, "."), strings.Split(y, ".")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !strings.EqualFold(a[i], b[i]) && a[i] != "*" && (!eitherWay || b[i] != "*") {
			return false
		}
	}
	return true
}

// forHosts reports whether matchers match only the host, as those of a site do.
func forHosts(sets caddyhttp.MatcherSets) bool {
	for _, set := range sets {
		for _, m := range set {
			if !isHost(m) {
				return false
			}
		}
	}
	return true
}

func isHost(m any) bool {
	_, host := m.(*caddyhttp.MatchHost)
	return host
}

// serves reports whether requests for a host certainly come here.
func (p *placedHandler) serves(host string) bool {
	return !slices.ContainsFunc(p.steps, func(s step) bool { return !takesHost(s.sets, host) })
}

// takesHost reports whether matchers certainly match some request for a host.
// Matchers that may check the host in an unknown manner do not count.
func takesHost(sets caddyhttp.MatcherSets, host string) bool {
	r := pageRequest(host, "/")
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(m any) bool {
			switch m := m.(type) {
			case *caddyhttp.MatchHost:
				matches, err := m.MatchWithError(r)
				return !matches || err != nil
			case *caddyhttp.MatchPath, *caddyhttp.MatchPathRE, *caddyhttp.MatchMethod, *caddyhttp.MatchQuery,
				*caddyhttp.MatchProtocol, *caddyhttp.MatchRemoteIP, *caddyhttp.MatchClientIP:
				return false
			}
			return true
		}) {
			return true
		}
	}
	return len(sets) == 0
}

// sees reports whether a GET of a page certainly comes here, if other requests of its
// sender do.
func (p *placedHandler) sees(host, path string) bool {
	r := pageRequest(host, path)
	return !slices.ContainsFunc(p.steps, func(s step) bool {
		matches, known := matchesRequest(ofRequests(s.sets), r)
		return !matches || !known || s.via == onDemand || s.via == onError
	})
}

// ofRequests are matchers without those of the sender of a request: the address, the
// connection, and headers that a browser or a proxy always sends.
func ofRequests(sets caddyhttp.MatcherSets) caddyhttp.MatcherSets {
	rest := make(caddyhttp.MatcherSets, 0, len(sets))
	for _, set := range sets {
		rest = append(rest, slices.DeleteFunc(slices.Clone(set), func(m any) bool {
			switch m := m.(type) {
			case *caddyhttp.MatchRemoteIP, *caddyhttp.MatchClientIP, *caddyhttp.MatchProtocol, *caddyhttp.MatchHeader, *caddyhttp.MatchHeaderRE:
				return true
			case *caddyhttp.MatchNot:
				return !slices.ContainsFunc(m.MatcherSets, func(not caddyhttp.MatcherSet) bool { return len(ofRequests(caddyhttp.MatcherSets{not})[0]) > 0 })
			}
			return false
		}))
	}
	return rest
}

// matchesRequest compares a request with matchers of known kinds.
func matchesRequest(sets caddyhttp.MatcherSets, r *http.Request) (matches, known bool) {
	for _, set := range sets {
		all := true
		for _, m := range set {
			switch m := m.(type) {
			case *caddyhttp.MatchHost, *caddyhttp.MatchPath, *caddyhttp.MatchPathRE, *caddyhttp.MatchMethod:
				one, err := m.(caddyhttp.RequestMatcherWithError).MatchWithError(r)
				all = all && one && err == nil
			case *caddyhttp.MatchNot:
				one, known := matchesRequest(m.MatcherSets, r)
				if !known {
					return false, false
				}
				all = all && !one
			default:
				return false, false
			}
		}
		if all {
			return true, true
		}
	}
	return len(sets) == 0, true
}

func pageRequest(host, path string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, "http://localhost", nil)
	if err != nil {
		return nil
	}
	r.Host, r.URL.Path = host, path
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	return r.WithContext(context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{}))
}

// sameMatcher reports whether two matchers, which are no path matchers, match the
// same requests.
func sameMatcher(a, b any) bool {
	if _, path := a.(*caddyhttp.MatchPath); path {
		return false
	}
	return reflect.DeepEqual(a, b)
}
