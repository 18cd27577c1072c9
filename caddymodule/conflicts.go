package caddymodule

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/caddy-sso/caddy-sso/gate"
)

// check refuses what cannot work, or is not safe, because of where gates stand.
func (p *placement) check(a *App) error {
	return errors.Join(p.checkClients(a), p.checkPortal(a))
}

// checkClients refuses gates of several clients on one site: the first answers
// the callback and the other paths of a gate for all of them.
func (p *placement) checkClients(a *App) error {
	for i, first := range p.gates {
		for _, second := range p.gates[i+1:] {
			if first.hidden || second.hidden || first.Client == second.Client || !first.sameSite(second.standing) {
				continue
			}
			others := siteHosts(a, second.Gate)
			for _, host := range siteHosts(a, first.Gate) {
				if slices.Contains(others, host) && first.serves(host) && second.serves(host) && takes(second.matchers, host) {
					return fmt.Errorf("sso_gate: the gates of client %s and client %s stand on one site, and both clients have a redirect_uri on %s: the first gate answers the callback and /oauth2/ for both, so nobody could sign in at the second; give both gates the same client, or each client a host of its own",
						first.Client, second.Client, host)
				}
			}
		}
	}
	return nil
}

// siteHosts are the hosts that a gate has a callback on, with their ports.
func siteHosts(a *App, g *Gate) (hosts []string) {
	if g.LicenseActivation { // has no callback
		return nil
	}
	for _, s := range gate.NewSites(a.issuer, a.sessionCookie(), g.client) {
		if !s.Portal {
			hosts = append(hosts, s.Host)
		}
	}
	return hosts
}

// checkPortal refuses gates on the portal's own origin where browsers send the
// session cookie with requests of any site: the backend there could not tell
// its own forms from those of strangers.
func (p *placement) checkPortal(a *App) error {
	if a.Session.SameSite != sameSiteNone {
		return nil
	}
	for _, g := range p.gates {
		if !g.LicenseActivation && p.onPortal(a, g) {
			return fmt.Errorf("session: same_site none, and the gate of client %s stands on the portal's own origin, %s: browsers would send the session cookie there with the forms of any site, and the backend would take them for the user's; put that backend on an origin of its own, or set same_site lax",
				g.Client, a.Issuer)
		}
	}
	return nil
}

// onPortal says whether a gate's policy is for requests of the portal's origin:
// for certain, since a host has many ports, of which one is the portal's.
func (p *placement) onPortal(a *App, g placedGate) bool {
	host := a.issuer.Hostname()
	if !g.serves(host) || !takes(g.matchers, host) {
		return false
	}
	for _, portal := range p.portals {
		if portal.sameSite(g.standing) && portal.serves(host) {
			return true
		}
	}
	if !g.namesHosts() {
		return false
	}
	for _, other := range siteHosts(a, g.Gate) {
		if (&url.URL{Host: other}).Hostname() == host {
			return false
		}
	}
	return true
}
