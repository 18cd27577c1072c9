package routecheck

import (
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// A handlerKind is the effect of a handler on a request.
type handlerKind int

const (
	unknownKind     handlerKind = iota // unknown to this package
	passesOn                           // passes it on, or refuses it
	answersItself                      // answers it without a backend
	proxiesRequests                    // passes it to a backend
)

// knownHandlers are Caddy's own handlers, and ours.
var knownHandlers = map[string]handlerKind{
	"authentication": passesOn, "copy_response_headers": passesOn, "encode": passesOn, "headers": passesOn, "intercept": passesOn,
	"invoke": passesOn, "log_append": passesOn, "map": passesOn, "push": passesOn, "request_body": passesOn, "rewrite": passesOn,
	"subroute": passesOn, "templates": passesOn, "timeouts": passesOn, "tracing": passesOn, "vars": passesOn,
	"sso_gate": passesOn, "sso_portal": passesOn,
	"acme_server": answersItself, "copy_response": answersItself, "error": answersItself, "file_server": answersItself, "metrics": answersItself,
	"static_response": answersItself,
	"reverse_proxy":   proxiesRequests,
}

// KnowsHandler reports whether this package knows what a handler does to requests. id
// is the module ID without its namespace.
func KnowsHandler(id string) bool { return knownHandlers[id] != unknownKind }

func (h routeHandler) kind() handlerKind {
	if files, ok := h.module.(*fileserver.FileServer); ok && files.PassThru {
		return passesOn
	}
	return knownHandlers[h.id]
}

// aborts reports whether a handler closes the connection without an answer.
func (h routeHandler) aborts() bool {
	static, ok := h.module.(*caddyhttp.StaticResponse)
	return ok && static.Abort
}

// directiveNames are the Caddyfile names of handlers whose modules have other names.
var directiveNames = map[string]string{
	"static_response": "respond", "headers": "header", "authentication": "basic_auth",
}

// String is a handler as a Caddyfile has it, with the upstream of a proxy.
func (h routeHandler) String() string {
	name, ok := directiveNames[h.id]
	if !ok {
		name = h.id
	}
	if static, ok := h.module.(*caddyhttp.StaticResponse); ok && (static.Abort || len(static.Headers["Location"]) > 0) {
		name = "redir"
		if h.aborts() {
			name = "abort"
		}
	}
	if proxy, ok := h.module.(*reverseproxy.Handler); ok {
		dials := make([]string, 0, len(proxy.Upstreams))
		for _, u := range proxy.Upstreams {
			dials = append(dials, u.Dial)
		}
		if len(dials) == 0 {
			dials = []string{"dynamic upstreams"}
		}
		name += " to " + strings.Join(dials, ", ")
	}
	return name
}

// asksOnly reports whether a proxy is a forward_auth: it requests one path of its
// upstream with GET, and the request continues if the answer is 2xx.
func (h routeHandler) asksOnly() bool {
	proxy, ok := h.module.(*reverseproxy.Handler)
	if !ok || proxy.Rewrite == nil || proxy.Rewrite.Method != "GET" {
		return false
	}
	path, _, _ := strings.Cut(proxy.Rewrite.URI, "?")
	if path == "" || strings.Contains(path, "{") {
		return false
	}
	return slices.ContainsFunc(proxy.HandleResponse, continuesOnSuccess)
}

// continuesOnSuccess reports whether a request continues to the next handler if the
// answer of the upstream is 2xx.
func continuesOnSuccess(h caddyhttp.ResponseHandler) bool {
	if h.Match == nil || len(h.Match.StatusCode) == 0 || h.StatusCode != "" {
		return false
	}
	for _, status := range h.Match.StatusCode {
		if status != 2 && status/100 != 2 {
			return false
		}
	}
	for i := range h.Routes {
		for _, inner := range handlersOf(&h.Routes[i]) {
			if inner.kind() != passesOn || len(branchesOf(inner.module)) > 0 {
				return false
			}
		}
	}
	return true
}

// sharesUpstream reports whether two proxies may send requests to the same backend.
// Upstreams that are unknown before a request count as the same.
func sharesUpstream(a, b routeHandler) bool {
	first, firstOpen := upstreamsOf(a)
	second, secondOpen := upstreamsOf(b)
	return firstOpen || secondOpen || slices.ContainsFunc(first, func(dial string) bool { return slices.Contains(second, dial) })
}

// upstreamsOf returns the addresses of a proxy's upstreams, in one spelling; open:
// they are known only when it connects.
func upstreamsOf(h routeHandler) (dials []string, open bool) {
	proxy, ok := h.module.(*reverseproxy.Handler)
	if !ok || proxy.DynamicUpstreams != nil || proxy.DynamicUpstreamsRaw != nil {
		return nil, true
	}
	for _, u := range proxy.Upstreams {
		if strings.Contains(u.Dial, "{") {
			return nil, true
		}
		dials = append(dials, canonicalAddress(u.Dial))
	}
	return dials, false
}

// canonicalAddress is an address in one spelling, since this machine has many.
func canonicalAddress(address string) string {
	network, host, port, err := caddy.SplitNetworkAddress(address)
	if err != nil || caddy.IsUnixNetwork(network) {
		return address
	}
	host = strings.ToLower(host)
	if ip := net.ParseIP(host); host == "" || ip.IsLoopback() || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
