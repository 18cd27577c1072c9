// Package protocol holds the product against real clients: the real server,
// OAuth clients, WebSockets, streams, reloads, crashes, and several nodes.
package protocol

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

func TestMain(m *testing.M) { harness.Main(m) }

// A rig is a server with its configuration and its backend.
type rig struct {
	*harness.Caddyfile
	server  *harness.Server
	backend *harness.Backend
}

// start starts the standard configuration, varied.
func start(t *testing.T, vary ...func(*harness.Caddyfile)) *rig {
	t.Helper()
	backend := harness.NewBackend(t)
	c := harness.Standard(t, backend.Addr)
	for _, v := range vary {
		v(c)
	}
	return &rig{Caddyfile: c, server: harness.Start(t, c.String()), backend: backend}
}

// startTwo is start on two nodes on a Redis, of which each request goes to the other
// one than the request before.
func startTwo(t *testing.T, vary ...func(*harness.Caddyfile)) *rig {
	t.Helper()
	backend := harness.NewBackend(t)
	c := harness.Standard(t, backend.Addr)
	for _, v := range vary {
		v(c)
	}
	p := harness.StartPair(t, c, redistest.Start(t).URL())
	balancer := p.Balance(t)
	t.Cleanup(func() { balancer.WantBoth(t) })
	return &rig{Caddyfile: c, server: p.Nodes[0].Server, backend: backend}
}

// A starter is start, or startTwo.
type starter func(*testing.T, ...func(*harness.Caddyfile)) *rig

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

// signedIn is a browser that went through the gate.
func (r *rig) signedIn(t *testing.T, u harness.User) *harness.Client {
	t.Helper()
	browser := harness.NewClient(t)
	if page := browser.SignIn(r.Gate+"/", u); page.Status != http.StatusOK {
		t.Fatalf("signing in as %s ended at %s with %d:\n%s", u.Name, page.URL, page.Status, page.Body)
	}
	return browser
}

// userAtBackend is who the backend takes a browser for.
func (r *rig) userAtBackend(t *testing.T, browser *harness.Client) string {
	t.Helper()
	return r.echo(t, browser).Header.Get("X-SSO-User")
}

func (r *rig) echo(t *testing.T, browser *harness.Client) harness.Echo {
	t.Helper()
	resp := browser.Fetch(r.Gate + "/")
	if resp.Status != http.StatusOK {
		t.Fatalf("the gate answered %d: %s", resp.Status, resp.Body)
	}
	var echo harness.Echo
	resp.JSON(t, &echo)
	return echo
}

// wantStatus asks as a script does.
func wantStatus(t *testing.T, browser *harness.Client, target string, want int) *harness.Response {
	t.Helper()
	resp := browser.Fetch(target)
	if resp.Status != want {
		t.Errorf("%s answered %d, want %d: %s", target, resp.Status, want, resp.Body)
	}
	return resp
}

// ssoURL is the session check for scripts.
func (r *rig) ssoURL() string {
	return r.Portal + "/api/oauth2/sso?" + url.Values{
		"client_id": {"1"}, "state": {"state-of-a-check"}, "response_type": {"code"},
		"redirect_uri": {r.Gate + "/oauth2/callback"}, "audience": {"game"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
}

// The example of RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" //nolint:gosec // no credential
)

// errorCode reads an error of the Login API.
func errorCode(t *testing.T, resp *harness.Response) string {
	t.Helper()
	var body struct {
		Error struct {
			Code        string          `json:"code"`
			Description string          `json:"description"`
			Details     *map[string]any `json:"details"`
		} `json:"error"`
	}
	resp.JSON(t, &body)
	if body.Error.Details == nil || body.Error.Description == "" {
		t.Errorf("not an error of the Login API: %s", resp.Body)
	}
	return body.Error.Code
}

func formRequest(t *testing.T, target string, form url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}
