package browser

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// providers is a configuration with two outside providers, of which the first
// runs.
func providers(t *testing.T) (*harness.Caddyfile, *harness.Provider) {
	t.Helper()
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	acme := harness.NewProvider(t, c.Portal+"/sso/callback/acme")
	acme.Accounts = map[string]map[string]any{"ann": {"preferred_username": "ann.acme"}}
	acme.Start()
	umbrella := harness.NewProvider(t, c.Portal+"/sso/callback/umbrella")
	c.Options += acme.Caddyfile("acme", `name "Acme Inc."`, "icon /acme.svg") + umbrella.Caddyfile("umbrella", `name "The Umbrella Corporation of Raccoon City and its many branches"`)
	c.PortalRoutes = `header /acme.svg Content-Type image/svg+xml
	respond /acme.svg ` + "`" + `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><circle cx="5" cy="5" r="5" fill="tomato"/></svg>` + "`"
	return c, acme
}

func TestAProviderSignsInInABrowser(t *testing.T) {
	c, acme := providers(t)
	harness.Start(t, c.String())
	b := newTab(t)
	b.open(c.Gate + "/play")
	b.path(c.Portal + "/sso/sign_in")
	b.look("sign-in-with-providers")
	b.click("Continue with Acme Inc.")
	b.wait("the provider", func() bool { return strings.HasPrefix(b.url(), acme.Issuer+"/interaction/") })
	b.do("document.querySelector('[name=login]').value = 'ann'")
	b.click("Sign in at the provider")
	b.at(c.Gate + "/play")
	b.until("document.getElementById('user').textContent === 'ann.acme'")

	// Back leads to the provider or the page, and nothing signs in twice.
	b.open(c.Portal + "/sso/sign_in?switch=1")
	b.sees("You are signed in as ann.acme.")
	b.click("Continue with The Umbrella Corporation of Raccoon City and its many branches")
	b.sees("does not answer")
	b.look("message-provider-down")
}

func TestWhereAProviderIsTheOnlyMethodThereIsNoForm(t *testing.T) {
	c, acme := providers(t)
	c.NoLocal = true
	harness.Start(t, c.String())
	b := newTab(t)
	b.open(c.Gate + "/play")
	b.path(c.Portal + "/sso/sign_in")
	b.seesNot("Password")
	b.look("sign-in-with-providers-only")
	b.click("Continue with Acme Inc.")
	b.wait("the provider", func() bool { return strings.HasPrefix(b.url(), acme.Issuer+"/interaction/") })
	b.click("Cancel")
	b.sees("You were not signed in")
	b.look("message-cancelled-at-the-provider")
}
