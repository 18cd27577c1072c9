package caddymodule

import (
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// What a handler does to a request.
type kind int

const (
	unknownKind kind = iota // nobody here can tell
	passes                  // hands it on, or refuses it
	answers                 // answers it by itself: no backend is asked
	proxies                 // hands it to a backend
)

// knownHandlers are Caddy's own handlers, and ours.
var knownHandlers = map[string]kind{
	"authentication": passes, "copy_response_headers": passes, "encode": passes, "headers": passes, "intercept": passes,
	"invoke": passes, "log_append": passes, "map": passes, "push": passes, "request_body": passes, "rewrite": passes,
	"subroute": passes, "templates": passes, "timeouts": passes, "tracing": passes, "vars": passes,
	"sso_gate": passes, "sso_portal": passes,
	"acme_server": answers, "copy_response": answers, "error": answers, "file_server": answers, "metrics": answers,
	"static_response": answers,
	"reverse_proxy":   proxies,
}

func (h listed) kind() kind {
	if files, ok := h.module.(*fileserver.FileServer); ok && files.PassThru {
		return passes
	}
	return knownHandlers[h.id]
}

// aborts says that a handler closes the connection, and tells nobody anything.
func (h listed) aborts() bool {
	static, ok := h.module.(*caddyhttp.StaticResponse)
	return ok && static.Abort
}

// directives are names of handlers that a Caddyfile has others for.
var directives = map[string]string{
	"static_response": "respond", "headers": "header", "authentication": "basic_auth",
}

// String is a handler as a Caddyfile has it, with the upstream of a proxy.
func (h listed) String() string {
	name, ok := directives[h.id]
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

// asksOnly says that a proxy has the shape of forward_auth: it asks one path of
// its upstream with GET, and the request goes on where the answer is 2xx.
func (h listed) asksOnly() bool {
	proxy, ok := h.module.(*reverseproxy.Handler)
	if !ok || proxy.Rewrite == nil || proxy.Rewrite.Method != "GET" {
		return false
	}
	path, _, _ := strings.Cut(proxy.Rewrite.URI, "?")
	if path == "" || strings.Contains(path, "{") {
		return false
	}
	return slices.ContainsFunc(proxy.HandleResponse, goesOn)
}

// goesOn says that a request goes on to the next handler where an answer of the
// upstream is 2xx.
func goesOn(h caddyhttp.ResponseHandler) bool {
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
			if inner.kind() != passes || len(branchesOf(inner.module)) > 0 {
				return false
			}
		}
	}
	return true
}

// sharesUpstream says whether two proxies may hand requests to one backend:
// what is only known when they do counts as the same.
func sharesUpstream(a, b listed) bool {
	first, firstOpen := upstreams(a)
	second, secondOpen := upstreams(b)
	return firstOpen || secondOpen || slices.ContainsFunc(first, func(dial string) bool { return slices.Contains(second, dial) })
}

// upstreams returns what a proxy dials, in one spelling; open: that is not known
// before it does.
func upstreams(h listed) (dials []string, open bool) {
	proxy, ok := h.module.(*reverseproxy.Handler)
	if !ok || proxy.DynamicUpstreams != nil || proxy.DynamicUpstreamsRaw != nil {
		return nil, true
	}
	for _, u := range proxy.Upstreams {
		if strings.Contains(u.Dial, "{") {
			return nil, true
		}
		dials = append(dials, dialled(u.Dial))
	}
	return dials, false
}

// dialled is an address in one spelling, of which this machine has many.
func dialled(address string) string {
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
