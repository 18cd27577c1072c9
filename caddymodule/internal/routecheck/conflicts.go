package routecheck

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-sso/caddy-sso/internal/gate"
)

// checkClients refuses gates of several clients on one site: the first answers
// the callback and the other paths of a gate for all of them.
func (p *placement) checkClients() error {
	for i, first := range p.gates {
		for _, second := range p.gates[i+1:] {
			if first.conditional() || second.conditional() && !second.inErrors() ||
				first.Client == second.Client || !onSameSite(first.placedHandler, second.placedHandler) {
				continue
			}
			others := p.siteHosts(second)
			for _, host := range p.siteHosts(first) {
				name := hostname(host)
				if slices.Contains(others, host) && first.forHost(name) && second.forHost(name) && takesHost(second.matchers, host) {
					return fmt.Errorf("sso_gate: the gates of client %s and client %s stand on one site, and both clients have a redirect_uri on %s: the first gate answers the callback and /oauth2/ for both, so no user can sign in at the second; give both gates the same client, or each client a host of its own",
						first.Client, second.Client, host)
				}
			}
		}
	}
	return nil
}

// siteHosts are the hosts that a gate has a callback on, with their ports.
func (p *placement) siteHosts(g placedGate) (hosts []string) {
	if g.client == nil { // has no callback
		return nil
	}
	for _, s := range gate.NewSites(p.app.Issuer, p.app.SessionCookie, g.client) {
		if !s.Portal {
			hosts = append(hosts, s.Host)
		}
	}
	return hosts
}

// hostname is a host without its port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// checkPortal refuses gates on the portal's own origin if browsers send the session
// cookie with requests of any site: the backend there could not distinguish its own
// forms from those of other sites.
func (p *placement) checkPortal() error {
	if p.app.SessionCookie.SameSite != http.SameSiteNoneMode {
		return nil
	}
	for _, g := range p.gates {
		if !g.LicenseActivation && p.onPortal(g) {
			return fmt.Errorf("session: same_site none, and the gate of client %s stands on the portal's own origin, %s: browsers would send the session cookie with forms of any site, and the backend would take them for the user's; put that backend on an origin of its own, or set same_site lax",
				g.Client, p.app.Issuer)
		}
	}
	return nil
}

// onPortal reports whether a gate's policy is certainly for requests of the portal's
// origin: a host has many ports, and one of them is the portal's.
func (p *placement) onPortal(g placedGate) bool {
	host := p.app.Issuer.Hostname()
	if !g.serves(host) || !takesHost(g.matchers, host) {
		return false
	}
	for _, portal := range p.portals {
		if onSameSite(portal, g.placedHandler) && portal.serves(host) {
			return true
		}
	}
	if len(g.hosts()) == 0 {
		return false
	}
	for _, other := range p.siteHosts(g) {
		if hostname(other) == host {
			return false
		}
	}
	return true
}
