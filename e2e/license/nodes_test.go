package license

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// A pair is two nodes behind one address, on one store. Anyone who talks to it is
// led to one of them or the other.
type pair struct {
	*world
	nodes [2]node
}

type node struct {
	server                *harness.Server
	config                harness.Caddyfile
	portal, gate, backend string // host:port of the three sites
}

func startPair(t *testing.T, vary ...func(*harness.Caddyfile, *harness.License)) *pair {
	t.Helper()
	p := &pair{world: &world{Caddyfile: harness.Standard(t, harness.NewBackend(t).Addr), license: harness.WithLicense(t)}}
	for _, v := range vary {
		v(p.Caddyfile, p.license)
	}
	p.backend = p.license.Backend
	p.Storage = fmt.Sprintf("redis %s {\nstorage_key a-storage-key-of-these-tests-0123456789\n}", redistest.Start(t).URL())
	for i := range p.nodes {
		n := &p.nodes[i]
		n.config = *p.Caddyfile
		local := func() string { return fmt.Sprintf("localhost:%d", harness.Port(t)) }
		n.portal, n.gate, n.backend = local(), local(), local()
		n.config.Admin = fmt.Sprintf("127.0.0.1:%d", harness.Port(t))
		n.config.PortalSite, n.config.GateSite = "http://"+n.portal, "http://"+n.gate
		license := *p.license
		license.GateSite = "http://" + n.backend
		license.Apply(&n.config)
		n.server = harness.Start(t, n.config.String())
	}
	return p
}

// A starter is start, or startTwo.
type starter func(*testing.T, ...func(*harness.Caddyfile, *harness.License)) *world

// startTwo is start on two nodes, of which each request goes to the other one than
// the request before.
func startTwo(t *testing.T, vary ...func(*harness.Caddyfile, *harness.License)) *world {
	t.Helper()
	p := startPair(t, vary...)
	first, second := p.nodes[0], p.nodes[1]
	balancer := harness.Balance(t, map[string][2]string{
		p.Portal: {first.portal, second.portal}, p.Gate: {first.gate, second.gate}, p.license.Gate: {first.backend, second.backend},
	})
	t.Cleanup(func() { balancer.WantBoth(t) })
	p.server = first.server
	return p.world
}

// onOneNodeAndTwo runs a test of a published flow on one node, and on two.
func onOneNodeAndTwo(t *testing.T, test func(*testing.T, starter)) {
	t.Parallel()
	t.Run("one node", func(t *testing.T) {
		t.Parallel()
		test(t, start)
	})
	t.Run("two nodes, each request at the other", func(t *testing.T) {
		t.Parallel()
		test(t, startTwo)
	})
}

func (p *pair) lead(c *harness.Client, node int) {
	host := func(origin string) string { return strings.TrimPrefix(origin, "http://") }
	n := p.nodes[node]
	c.Route(host(p.Portal), n.portal, host(p.Gate), n.gate, host(p.license.Gate), n.backend)
}

// app is licensed software that is led to one node, with a browser that is led
// to another.
func (p *pair) app(t *testing.T, asks, signsIn int) (*app, *harness.Client) {
	t.Helper()
	own, browser := harness.NewClient(t), harness.NewClient(t)
	p.lead(own, asks)
	p.lead(browser, signsIn)
	a := &app{Client: p.license.App(p.Portal, own.HTTP()), browser: browser}
	if err := a.Trust(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.listen(t)
	return a, own
}

func TestTwoNodesOnOneRedisAreOneLicenseAPI(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	t.Run("made on one, used on the other, activated on the first", func(t *testing.T) {
		a, own := p.app(t, 0, 1)
		body := a.Activation(a.code(t, harness.Demo), "")
		p.wantActivated(t, a, body, harness.Demo)
		p.lead(own, 1) // its retry, on the other
		p.wantActivated(t, a, body, harness.Demo)
		for node := range p.nodes {
			p.lead(own, node)
			_, err := a.Activate(t.Context(), body)
			wantRefused(t, err, http.StatusBadRequest, "invalid_code")
		}
	})
	t.Run("what one signed verifies with the other's key", func(t *testing.T) {
		a, own := p.app(t, 0, 1)
		p.lead(own, 1)
		body := a.Activation("", a.signIn(t, "token", harness.Demo).Get("id_token"))
		for node := range p.nodes {
			p.lead(own, node)
			p.wantActivated(t, a, body, harness.Demo)
		}
	})
	t.Run("a link that was used on one is used on the other", func(t *testing.T) {
		a, _ := p.app(t, 0, 0)
		link := a.link(t, "code")
		a.arrived(t, a.browser.SignIn(link, harness.Demo))
		p.lead(a.browser, 1)
		a.wantPage(t, a.browser.Open(link), p.Portal, http.StatusGone, "This link cannot be used any more")
	})
	t.Run("a reload of both in the middle", func(t *testing.T) {
		a, _ := p.app(t, 0, 1)
		reload := func() {
			for _, n := range p.nodes {
				n.server.Reload(n.config.String() + "# " + t.Name() + "\n")
				n.server.Reload(n.config.String())
			}
		}
		link := a.link(t, "code")
		reload()
		form, err := a.browser.Open(link).Form("password")
		if err != nil {
			t.Fatal(err)
		}
		reload()
		form.Values.Set("username", harness.Demo.Name)
		form.Values.Set("password", harness.Demo.Password)
		page, err := a.browser.Submit(form)
		if err != nil {
			t.Fatal(err)
		}
		code := codeIn(t, a.arrived(t, page))
		reload()
		p.wantActivated(t, a, a.Activation(code, ""), harness.Demo)
	})
}

// TestACrashKeepsLinksSessionsAndTokens is about one node on storage file. Codes
// alone are in memory, for a minute at most.
func TestACrashKeepsLinksSessionsAndTokens(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *harness.Caddyfile, _ *harness.License) {
		c.Storage = "file " + filepath.Join(t.TempDir(), "sso.db")
	})
	crash := func() {
		t.Helper()
		w.server.Kill()
		if err := w.server.Up(); err != nil {
			t.Fatal(err)
		}
	}
	a := w.app(t, harness.NewClient(t))
	link := a.link(t, "code")
	crash()
	lost := codeIn(t, a.arrived(t, a.browser.SignIn(link, harness.Demo)))
	crash()
	_, err := a.Activate(t.Context(), a.Activation(lost, ""))
	wantRefused(t, err, http.StatusBadRequest, "invalid_code")
	a.wantPage(t, a.browser.Open(link), w.Portal, http.StatusGone, "This link cannot be used any more")

	// Nobody has to sign in again, and the key is the one that the application
	// trusts.
	body := a.Activation(a.newCode(t), "")
	w.wantActivated(t, a, body, harness.Demo)
	tokens := a.again(t, "token")
	crash()
	w.wantActivated(t, a, a.Activation("", tokens.Get("access_token")), harness.Demo)
	_, err = a.Activate(t.Context(), body)
	wantRefused(t, err, http.StatusBadRequest, "invalid_code")
}
