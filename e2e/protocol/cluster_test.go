package protocol

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

func onRedis(address string) func(*harness.Caddyfile) {
	return func(c *harness.Caddyfile) { c.Storage = harness.OnRedis(address) }
}

// A pair is two nodes behind one address. Each browser is led to one of them or
// the other.
type pair struct{ *harness.Pair }

func startPair(t *testing.T, storage string, vary ...func(node int, own *harness.Caddyfile)) *pair {
	t.Helper()
	return &pair{harness.StartPairOf(t, harness.Standard(t, harness.NewBackend(t).Addr), storage, func(node int, own *harness.Caddyfile) {
		for _, v := range vary {
			v(node, own)
		}
	})}
}

// browser is one that is led to a node.
func (p *pair) browser(t *testing.T, node int) *harness.Client {
	t.Helper()
	browser := harness.NewClient(t)
	p.Lead(browser, node)
	return browser
}

func (p *pair) signedIn(t *testing.T, node int, u harness.User) *harness.Client {
	t.Helper()
	browser := p.browser(t, node)
	browser.SignIn(p.Gate+"/", u)
	return browser
}

func TestTwoNodesOnOneRedis(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, startPair(t, redistest.Start(t).URL()))
}

func onTwoNodes(t *testing.T, p *pair) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *pair){
		"a sign-in begun on one ends on the other":                    signInAcross,
		"a code is redeemed once, on either":                          codeAcross,
		"a sign-out on one closes the other's gate and its WebSocket": signOutAcross,
		"each one's tokens verify with the other's keys":              keysAcross,
		"the operator sees and ends sessions that began on the other": operatorAcross,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

// signInAcross changes the node at every step of a sign-in.
func signInAcross(t *testing.T, p *pair) {
	browser := p.browser(t, 0)
	form, err := browser.Open(p.Gate + "/deep/page?and=query").Form("password")
	if err != nil {
		t.Fatal(err)
	}
	form.Values.Set("username", harness.Demo.Name)
	form.Values.Set("password", harness.Demo.Password)
	p.Lead(browser, 1)
	page, err := browser.Submit(form)
	if err != nil {
		t.Fatal(err)
	}
	if page.Status != http.StatusOK || page.URL.String() != p.Gate+"/deep/page?and=query" {
		t.Fatalf("ended at %s with %d", page.URL, page.Status)
	}
	for node := range p.Nodes {
		p.Lead(browser, node)
		wantStatus(t, browser, p.Gate+"/", http.StatusOK)
	}
}

func codeAcross(t *testing.T, p *pair) {
	browser := p.signedIn(t, 0, harness.Demo)
	g := newGame(t, p.Portal, "1", "email")
	clients := [2]*harness.Client{p.browser(t, 0), p.browser(t, 1)}
	// A node counts what the other one redeemed until it expires: stay below
	// per_session.
	for round := range 10 {
		p.Lead(browser, round%2)
		if resp := clients[1-round%2].Post(g.Endpoint.TokenURL, g.form(g.codeOf(t, browser))); resp.Status != http.StatusOK {
			t.Fatalf("the node that did not issue the code answered %d: %s", resp.Status, resp.Body)
		}
		code := g.codeOf(t, browser)
		const each = 4
		answers := make(chan *harness.Response, 2*each)
		var wait sync.WaitGroup
		for _, c := range clients {
			for range each {
				wait.Go(func() {
					resp, err := c.TryPost(g.Endpoint.TokenURL, g.form(code))
					if err != nil {
						t.Error(err)
						return
					}
					answers <- resp
				})
			}
		}
		wait.Wait()
		close(answers)
		won := 0
		for resp := range answers {
			switch {
			case resp.Status == http.StatusOK:
				won++
				for _, c := range clients {
					wantCounts(t, c, p.Portal, resp)
				}
			case resp.Status != http.StatusBadRequest || errorCode(t, resp) != "010-023":
				t.Errorf("answered %d: %s", resp.Status, resp.Body)
			}
		}
		if won != 1 {
			t.Errorf("the code was redeemed %d times", won)
		}
	}
}

func signOutAcross(t *testing.T, p *pair) {
	browser, stays := p.signedIn(t, 0, harness.Demo), p.signedIn(t, 1, harness.Demo)
	p.Lead(browser, 1)
	wantStatus(t, browser, p.Gate+"/", http.StatusOK) // the second node knows it now
	conn, _, err := websocket.Dial(context.Background(), p.Gate+"/ws", &websocket.DialOptions{HTTPClient: browser.HTTP()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	ended := whenOver(func() { _, _, _ = conn.Read(context.Background()) })

	p.Lead(browser, 0)
	submit(t, browser, p.Portal+"/sso/account")
	p.Lead(browser, 1)
	harness.Eventually(t, "the other node's gate closes", func() bool {
		return browser.Fetch(p.Gate+"/").Status == http.StatusUnauthorized
	})
	harness.Eventually(t, "the other node's WebSocket ends", func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	wantStatus(t, stays, p.Gate+"/", http.StatusOK)
}

func keysAcross(t *testing.T, p *pair) {
	browser := p.signedIn(t, 0, harness.Demo)
	for signer := range p.Nodes {
		p.Lead(browser, signer)
		g := newGame(t, p.Portal, "1", "email")
		resp := browser.Post(g.Endpoint.TokenURL, g.form(g.codeOf(t, browser)))
		var token struct {
			AccessToken string `json:"access_token"`
		}
		resp.JSON(t, &token)
		other := p.browser(t, 1-signer)
		claims := verify(t, token.AccessToken, jose.RS256, publishedKeys(t, other, p.Portal, "1"))
		if claims["iss"] != p.Portal {
			t.Errorf("iss is %v", claims["iss"])
		}
	}
}

// operatorAcross has a user of its own.
func operatorAcross(t *testing.T, p *pair) {
	browser := p.signedIn(t, 0, harness.Admin)
	second := &rig{Caddyfile: p.Caddyfile, server: p.Nodes[1].Server}
	if out := second.server.SSO("user", "end", harness.Admin.Name); out != "1 ended\n" {
		t.Errorf("the command said %q", out)
	}
	harness.Eventually(t, "the first node's gate closes", func() bool {
		return browser.Fetch(p.Gate+"/").Status == http.StatusUnauthorized
	})
	if list := second.server.SSO("session", "list"); strings.Contains(list, harness.Admin.Name) {
		t.Errorf("still listed:\n%s", list)
	}
}

func TestARedisClusterCarriesTheWholeFlow(t *testing.T) {
	t.Parallel()
	r := start(t, onRedis(redistest.StartCluster(t).URL()))
	browser := r.signedIn(t, harness.Demo)
	g := newGame(t, r.Portal, "1", "email")
	code := g.codeOf(t, browser)
	token, err := g.redeem(code)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, token.AccessToken, jose.RS256, publishedKeys(t, browser, r.Portal, "1"))
	if resp := browser.Post(g.Endpoint.TokenURL, g.form(code)); errorCode(t, resp) != "010-023" {
		t.Errorf("a second redemption was answered with %d: %s", resp.Status, resp.Body)
	}
	r.server.Restart()
	if user := r.userAtBackend(t, browser); user != harness.Demo.Name {
		t.Errorf("after a restart the backend sees %q", user)
	}
	streams := openStreams(t, r, browser)
	submit(t, browser, r.Gate+"/oauth2/sign_out")
	wantEnded(t, r, streams)
	wantStatus(t, browser, r.Gate+"/", http.StatusUnauthorized)
	wantStatus(t, browser, r.ssoURL(), http.StatusUnauthorized)
}
