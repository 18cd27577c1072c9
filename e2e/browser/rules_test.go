package browser

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// behindRules is a gate that lets designers of one provider pass, and has a page for
// those who have just signed in.
func behindRules(t *testing.T) (*harness.Caddyfile, *harness.Provider) {
	t.Helper()
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	acme := harness.NewProvider(t, c.Portal+"/sso/callback/acme")
	acme.Accounts = map[string]map[string]any{
		"ann": {"preferred_username": "ann.acme", "email": "ann@acme.example", "email_verified": true, "roles": []string{"designer"}},
		"bob": {"preferred_username": "bob.acme", "email": "bob@acme.example", "email_verified": true, "roles": []string{"guest"}},
		"eve": {"preferred_username": "eve.acme", "email": "eve@evil.example", "email_verified": false, "roles": []string{"designer"}},
	}
	acme.Start()
	c.Options += acme.Caddyfile("acme", `name "Acme Inc."`, "scope profile email groups")
	c.GateOptions = "require signin acme\nrequire claim roles designer artist\ndeny email_domain evil.example"
	c.GateRoutes = "@fresh path /fresh /fresh/*\nsso_gate @fresh {\n\tclient 1\n\tmax_age 5m\n}"
	return c, acme
}

// signInAtAcme goes from the sign-in page to the provider, and signs in there.
func (b *tab) signInAtAcme(acme *harness.Provider, account string) {
	b.t.Helper()
	b.click("Continue with Acme Inc.")
	b.wait("the provider", func() bool { return strings.HasPrefix(b.url(), acme.Issuer+"/interaction/") })
	b.do("document.querySelector('[name=login]').value = '" + account + "'")
	b.click("Sign in at the provider")
}

func TestARuleLetsSomeUsersOfAProviderPass(t *testing.T) {
	c, acme := behindRules(t)
	harness.Start(t, c.String())
	for account, may := range map[string]bool{"ann": true, "bob": false, "eve": false} {
		t.Run(account, func(t *testing.T) {
			b := newTab(t)
			b.open(c.Gate + "/play")
			b.path(c.Portal + "/sso/sign_in")
			b.signInAtAcme(acme, account)
			if may {
				b.at(c.Gate + "/play")
				b.until("document.getElementById('user').textContent === '" + account + ".acme'")
				return
			}
			b.sees("You don’t have access")
			b.sees(account + ".acme")
			for _, secret := range []string{"designer", "evil.example", "deny"} {
				if account != "eve" || secret != "evil.example" { // which may be her address
					b.seesNot(secret)
				}
			}
			if account == "bob" {
				b.look("denied-by-a-rule")
			}
			b.click("Use another account")
			b.path(c.Portal + "/sso/sign_in")
		})
	}
}

func TestAFreshSignInIsAskedForAndProved(t *testing.T) {
	c, acme := behindRules(t)
	harness.Start(t, c.String())
	b := newTab(t)
	b.open(c.Gate + "/play")
	b.path(c.Portal + "/sso/sign_in")
	b.signInAtAcme(acme, "ann")
	b.at(c.Gate + "/play")

	// The provider did not say when she signed in there.
	b.open(c.Gate + "/fresh/report?year=2026")
	b.path(c.Portal + "/sso/sign_in")
	b.sees("asks you to sign in again")
	b.look("sign-in-again-for-max-age")
	b.click("Continue with Acme Inc.") // which proves that she signed in there a moment ago
	b.at(c.Gate + "/fresh/report?year=2026")
	b.open(c.Gate + "/fresh/other")
	b.at(c.Gate + "/fresh/other")
}
