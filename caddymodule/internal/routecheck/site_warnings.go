package routecheck

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

// Sites, hosts and groups with which no user can sign in or pass, whatever handlers
// are around them.

// portalSites returns the sites with a portal: those that may get requests for the
// issuer's host, and the others.
func (p *placement) portalSites() (onIssuer, elsewhere []*placedHandler) {
	for _, portal := range p.portals {
		switch {
		case portal.inErrors():
		case portal.forHost(p.app.Issuer.Hostname()):
			onIssuer = append(onIssuer, portal)
		default:
			elsewhere = append(elsewhere, portal)
		}
	}
	return onIssuer, elsewhere
}

// checkIssuerHost refuses several sites with a portal, none of them on the issuer's
// host: a single one may get its requests from a server in front under another name.
func (p *placement) checkIssuerHost() error {
	onIssuer, elsewhere := p.portalSites()
	var sites []string
	for _, portal := range elsewhere {
		if !slices.Contains(sites, portal.site()) {
			sites = append(sites, portal.site())
		}
	}
	if len(onIssuer) > 0 || len(sites) < 2 {
		return nil
	}
	return fmt.Errorf("sso_portal stands on the sites %s, and none of them is for %s, the host of the issuer, to which all pages and cookies belong; put one sso_portal on a site for %s and remove the others, or correct issuer",
		strings.Join(sites, " and "), p.app.Issuer.Hostname(), p.app.Issuer.Hostname())
}

// siteWarnings are about hosts, groups and other authentication.
func (p *placement) siteWarnings() []warning {
	all := p.portalWarnings()
	said := map[string]bool{} // by place
	add := func(text string, h *placedHandler, more ...zap.Field) {
		if text != "" && !said[h.site()+text] {
			said[h.site()+text] = true
			all = append(all, warning{"sso_gate: " + text, append(h.fields(), more...)})
		}
	}
	for _, g := range p.gates {
		if g.client == nil {
			continue
		}
		for _, text := range []string{p.noRedirectURI(g), p.unsatisfiableGroups(g)} {
			add(text, g.placedHandler, zap.String("client", g.Client))
		}
	}
	for _, h := range p.all {
		add(p.otherAuthentication(h), h)
	}
	return all
}

// portalWarnings compares the sites of portals with the host of the issuer.
func (p *placement) portalWarnings() (all []warning) {
	host := p.app.Issuer.Hostname()
	onIssuer, elsewhere := p.portalSites()
	remedy := "put sso_portal on a site for " + host + ", or correct issuer"
	if path := p.unseenPortal(onIssuer); path != "" {
		all = append(all, warning{"sso_portal stands in handle_path, or in handle, route or invoke below a matcher, and does not see " + path + ", so that no user can sign in; put sso_portal at the site's own level: it answers its own paths only, and passes on all others", onIssuer[0].fields()})
	}
	switch {
	case len(onIssuer) > 0:
		for _, portal := range append(onIssuer, elsewhere...) {
			if others := portal.otherHosts(host); len(others) > 0 {
				all = append(all, warning{fmt.Sprintf("sso_portal is on %s, too, which is not the host of the issuer, %s: pages and cookies belong to that host only, so no user can sign in here; replace it here, for example with: redir %s{uri}",
					strings.Join(others, ", "), host, p.app.Issuer), portal.fields()})
			}
		}
	case len(elsewhere) > 0:
		all = append(all, warning{fmt.Sprintf("sso_portal: no site is for %s, the host of the issuer, where browsers are sent to sign in; the portal is on %s, and gets their requests only if a proxy changes the host: %s",
			host, elsewhere[0].site(), remedy), elsewhere[0].fields()})
	case len(p.gates) > 0 && !p.app.SharedStorage:
		all = append(all, warning{fmt.Sprintf("sso_portal: no site for %s, the host of the issuer, has one, and no other node can have it, since this storage belongs to this node only: no user can sign in; %s, or use storage redis together with the node that has the portal",
			host, remedy), p.gates[0].fields()})
	}
	return all
}

// unseenPortal is a path that browsers are sent to, and no portal on the issuer's host
// sees.
func (p *placement) unseenPortal(onIssuer []*placedHandler) string {
	if len(onIssuer) == 0 {
		return ""
	}
	paths := []string{portal.SignInPath}
	if len(p.gates) > 0 {
		paths = append(paths, "/api/oauth2/auth")
	}
	for _, path := range paths {
		if !slices.ContainsFunc(onIssuer, func(portal *placedHandler) bool { return portal.sees(p.app.Issuer.Hostname(), path) }) {
			return path
		}
	}
	return ""
}

// otherHosts are the hosts that a handler's site names beside one.
func (p *placedHandler) otherHosts(host string) []string {
	var others []string
	for _, h := range p.literalHosts() {
		if !sameHost(h, host, false) {
			others = append(others, h)
		}
	}
	if len(others) == 0 && !p.forHost(host) {
		others = []string{p.site()}
	}
	return others
}

// literalHosts returns the hosts of a handler that are named, and not matched by a
// pattern.
func (p *placedHandler) literalHosts() []string {
	var named []string
	for _, hosts := range p.hosts() {
		for _, h := range hosts {
			if !strings.ContainsAny(h, "*{") && p.forHost(h) && !slices.Contains(named, h) {
				named = append(named, h)
			}
		}
	}
	return named
}

// noRedirectURI reports the hosts of a gate's site on which no user can sign in.
func (p *placement) noRedirectURI(g placedGate) string {
	if g.inErrors() {
		return ""
	}
	origins := []*url.URL{p.app.Issuer}
	if p.portalElsewhere(g) {
		origins = nil // for a pattern here the host of the issuer is none
	}
	for _, r := range g.client.RedirectURIs {
		if r.Origin() != "" {
			origins = append(origins, r.URL)
		}
	}
	hosts := g.literalHosts()
	if len(hosts) == 0 {
		for _, of := range g.hosts() {
			hosts = append(hosts, of...)
		}
	}
	for _, host := range hosts {
		if !strings.ContainsAny(host, "*{") && (!takesHost(g.matchers, host) || p.endedBefore(g, host)) {
			continue
		}
		var here []*url.URL
		for _, o := range origins {
			if sameHost(host, o.Hostname(), true) {
				here = append(here, o)
			}
		}
		if len(here) == 0 && slices.ContainsFunc(g.client.RedirectURIs, func(r oauth.RedirectURI) bool { return r.Loopback && r.URL.Hostname() == host }) {
			return fmt.Sprintf("client %s has no redirect_uri of a site on %s, so no user can sign in there: http with this address is for applications, on any port; use http://localhost for the site and its redirect_uri",
				g.Client, host)
		}
		if len(here) == 0 {
			return fmt.Sprintf("client %s has no redirect_uri on %s, so no user can sign in there; add to the client, for example: redirect_uri %s/oauth2/callback (or exclude the host with the gate's matcher, if it needs no protection)",
				g.Client, host, p.originOf(g, strings.Replace(host, "*", "app", 1)))
		}
		secure := slices.ContainsFunc(here, func(u *url.URL) bool { return u.Scheme == "https" || u == p.app.Issuer })
		if !secure && p.speaksTLS(g.server) {
			return fmt.Sprintf("the only redirect_uri of client %s on %s is http, but this site is https, so the callback does not arrive here; register instead: %s",
				g.Client, host, "https"+strings.TrimPrefix(here[0].String(), "http"))
		}
	}
	return ""
}

// endedBefore reports whether requests for a host never reach a gate, because a route
// before it, for that host, ends them.
func (p *placement) endedBefore(g placedGate, host string) bool {
	return slices.ContainsFunc(p.all, func(h *placedHandler) bool {
		at, apart := h.apart(g.placedHandler)
		hosts, some := hostsOf(at.sets)
		return apart && some && slices.ContainsFunc(hosts, func(pattern string) bool { return sameHost(pattern, host, false) })
	})
}

// portalElsewhere reports whether the portal has a site of its own, beside the gate's
// site, which is for a pattern of hosts.
func (p *placement) portalElsewhere(g placedGate) bool {
	host := p.app.Issuer.Hostname()
	onIssuer, _ := p.portalSites()
	return p.endedBefore(g, host) && len(onIssuer) > 0 &&
		!slices.ContainsFunc(onIssuer, func(portal *placedHandler) bool {
			return portal.server == g.server && portal.steps[0].route == g.steps[0].route
		})
}

// originOf returns the probable origin of a gate's site. If the issuer has no port,
// the site's port may be hidden by a server in front.
func (p *placement) originOf(g placedGate, host string) string {
	scheme, port := "https", ""
	if listen := p.web.Servers[g.server].Listen; p.app.Issuer.Port() != "" && len(listen) > 0 {
		port = ":" + listen[0][strings.LastIndexByte(listen[0], ':')+1:]
	}
	if p.app.Issuer.Scheme == "http" {
		scheme = "http"
	}
	if port == ":443" && scheme == "https" || port == ":80" && scheme == "http" {
		port = ""
	}
	return scheme + "://" + host + port
}

// speaksTLS reports whether a server certainly accepts TLS.
func (p *placement) speaksTLS(name string) bool {
	server := p.web.Servers[name]
	port := p.web.HTTPSPort
	port = cmp.Or(port, caddyhttp.DefaultHTTPSPort)
	return len(server.TLSConnPolicies) > 0 || (server.AutoHTTPS == nil || !server.AutoHTTPS.Disabled) && len(server.Listen) > 0 &&
		!slices.ContainsFunc(server.Listen, func(address string) bool { return !strings.HasSuffix(address, fmt.Sprintf(":%d", port)) })
}

// unsatisfiableGroups reports the groups that a gate requires and that no user can
// have. A gate for clients' own tokens may require such a group.
func (p *placement) unsatisfiableGroups(g placedGate) string {
	known, open := p.app.Groups(g.client.Methods)
	if open {
		return ""
	}
	var vain []string
	for _, group := range append(slices.Clip(g.Require), g.RuleGroups...) {
		if !slices.Contains(known, group) {
			vain = append(vain, fmt.Sprintf("%q", group))
		}
	}
	if len(vain) == 0 || len(g.AllowClients) > 0 && len(vain) == len(g.Require) {
		return ""
	}
	proposal, there := "", "no user has a group"
	if len(known) > 0 {
		proposal, there = options.DidYouMean(strings.Trim(vain[0], `"`), known), "groups of users are: "+strings.Join(known, ", ")
	}
	return fmt.Sprintf("require group %s: no user of the sign-in methods of client %s can have it; %sgive it to a user, or correct it (%s)",
		strings.Join(vain, " "), g.Client, proposal, there)
}

// otherAuthentication reports a handler that asks users to sign in again after a
// gate.
func (p *placement) otherAuthentication(h *placedHandler) string {
	if h.inErrors() || h.id != "authentication" && (h.kind() != proxiesRequests || !h.asksOnly()) {
		return ""
	}
	for _, g := range p.gates {
		if g.LicenseActivation || !onSameSite(g.placedHandler, h) || !g.guards(h) && !h.guards(g.placedHandler) || g.leavesOutAll(h) {
			continue
		}
		if h.id != "authentication" {
			if !g.guards(h) {
				return "" // that it comes first is said elsewhere
			}
			return "forward_auth asks another service about requests that a gate has let pass: users may have to sign in twice; remove forward_auth, or exclude its requests with the gate's matcher"
		}
		return "basic_auth, or other authentication, stands on a site with a gate: users have to sign in twice, and {http.auth.user.id} is not the gate's user; remove it, or exclude its requests with the gate's matcher, such as: @private not path /metrics"
	}
	return ""
}

// leavesOutAll reports whether a gate's matcher excludes all requests of a handler,
// as far as its paths tell. If they do not tell, it may.
func (g placedGate) leavesOutAll(h *placedHandler) bool {
	if len(g.matchers) == 0 {
		return false
	}
	host := ""
	if hosts := h.literalHosts(); len(hosts) > 0 {
		host = hosts[0]
	}
	paths := []string{"/"}
	for _, s := range h.steps {
		for _, set := range s.sets {
			for _, m := range set {
				switch m := m.(type) {
				case *caddyhttp.MatchHost:
				case *caddyhttp.MatchPath:
					paths = *m
				default:
					return true
				}
			}
		}
	}
	return !slices.ContainsFunc(paths, func(pattern string) bool {
		matches, known := matchesRequest(g.matchers, pageRequest(host, strings.ReplaceAll(pattern, "*", "x")))
		return matches && known
	})
}
