package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// twoNodes are two nodes on one store, and a proxy before them that gives every
// request to the other one than the request before.
func twoNodes(t *testing.T, vary ...func(*harness.Caddyfile)) (*harness.Pair, *harness.Balancer, *backend) {
	t.Helper()
	behind := newBackend(t)
	c := harness.Standard(t, behind.addr)
	for _, v := range vary {
		v(c)
	}
	p := harness.StartPair(t, c, redistest.Start(t).URL())
	return p, p.Balance(t), behind
}

// beginningAtEither runs a test in a new browser, with the first request at one
// node, then at the other: so each request is once at each.
func beginningAtEither(t *testing.T, p *harness.Balancer, test func(*tab)) {
	for node, name := range []string{"beginning at the first", "beginning at the second"} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			p.StartAt(node)
			test(b)
			for i := range 2 {
				if got := p.Took(i); len(got) < 3 {
					t.Errorf("node %d took only %v", i, got)
				}
			}
		})
	}
}

func TestABrowserThatEachRequestBringsToAnotherNodeSignsInAndOut(t *testing.T) {
	p, balancer, behind := twoNodes(t)
	beginningAtEither(t, balancer, func(b *tab) {
		b.open(p.Gate + "/play?level=3#part")
		b.path(p.Portal + "/sso/sign_in")
		b.signIn(demo.Name, "wrong")
		b.sees("User name or password is wrong")
		b.signIn(demo.Name, demo.Password)
		b.at(p.Gate + "/play?level=3#part")
		b.sees("Hello, demo")
		if header := behind.saw(b.t, p.Gate, "/play?level=3").Header; header.Get("X-SSO-Email") != demo.Email {
			b.t.Errorf("the backend saw the address %q", header.Get("X-SSO-Email"))
		}
		for range 5 {
			b.open(p.Gate + "/again")
			b.at(p.Gate + "/again")
			b.sees("Hello, demo")
		}
		b.click("Sign out")
		b.sees("You’re signed out")
		for range 2 { // at each node
			b.open(p.Gate + "/play")
			b.path(p.Portal + "/sso/sign_in")
		}
	})
}

func TestAFormIsSentOnOnceThoughEachRequestIsAtAnotherNode(t *testing.T) {
	p, balancer, behind := twoNodes(t)
	sent := 0
	beginningAtEither(t, balancer, func(b *tab) {
		b.open(p.Gate + "/play")
		b.signIn(demo.Name, demo.Password)
		b.at(p.Gate + "/play")
		b.compose(`action="/save"`, `<input name="a" value="b &amp; c"><input name="a" value="again">`)
		b.forgotten()
		b.click("Send")
		b.sees("to continue to Demo game")
		if n := behind.count(p.Gate, "/save"); n != sent {
			b.t.Fatalf("without a session the form arrived %d times", n-sent)
		}
		b.signIn(demo.Name, demo.Password)
		b.at(p.Gate + "/save")
		b.sees("Hello, demo")
		sent++
		got := behind.saw(b.t, p.Gate, "/save")
		if n := behind.count(p.Gate, "/save"); n != sent || got.Method != http.MethodPost || got.body != "a=b+%26+c&a=again" || got.Header.Get("X-SSO-User") != demo.Name {
			b.t.Errorf("the form arrived %d times, as %s %q of %q", n-sent+1, got.Method, got.body, got.Header.Get("X-SSO-User"))
		}
	})
}

// The request for a ticket and the return with it reach two nodes, too.
func TestATicketOfOneNodeIsTradedAtAnother(t *testing.T) {
	var s *harness.Studio
	p, balancer, behind := twoNodes(t, func(c *harness.Caddyfile) {
		s = harness.NewStudio(t, c.Portal)
		trustedBeside(c, s)
	})
	beginningAtEither(t, balancer, func(b *tab) {
		back := b.ticketURL(p.Caddyfile, s, "zoe")
		b.click("Go back")
		b.at(p.Gate + "/play")
		b.sees("Hello, zoe")
		for range 2 { // at each node
			b.open(back)
			b.sees("This sign-in was finished before")
		}
		if user := behind.saw(b.t, p.Gate, "/play").Header.Get("X-SSO-User"); user != "zoe" {
			b.t.Errorf("the backend saw %q", user)
		}
	})
}

// The redirects of a redirect loop are counted in what the browser carries, so that
// the nodes need not know each other's.
func TestARedirectLoopEndsAlthoughEachTurnIsAtAnotherNode(t *testing.T) {
	p, balancer, behind := twoNodes(t)
	beginningAtEither(t, balancer, func(b *tab) {
		b.open(p.Portal + "/sso/sign_in")
		b.signIn(demo.Name, demo.Password)
		b.at(p.Portal + "/sso/account")
		b.blockCookies(p.Gate)
		b.forget()
		b.open(p.Gate + "/play")
		b.sees("Too many redirects", "Allow cookies for this site", "Try again")
		b.status(http.StatusBadRequest)
		callbacks := 0
		for _, step := range b.trail() {
			if strings.HasSuffix(step, p.Gate+"/oauth2/callback") {
				callbacks++
			}
		}
		if callbacks != 3 { // the documented turn
			b.t.Errorf("it ended at turn %d:\n%s", callbacks, strings.Join(b.trail(), "\n"))
		}
	})
	if n := behind.count(p.Gate, "/play"); n != 0 {
		t.Errorf("%d requests reached the backend", n)
	}
	named := 0
	for _, n := range p.Nodes {
		named += len(n.Log.Containing(`"setting":"redirect_uri"`))
	}
	if named == 0 || named > len(p.Nodes) { // each node says it once a while
		t.Errorf("%d lines of the logs name the setting", named)
	}
}
