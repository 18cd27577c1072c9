package protocol

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// Each node writes a record format of its own: as while the setting is changed, on
// one node after the other.
func bothFormats(node int, own *harness.Caddyfile) {
	own.Options += fmt.Sprintf("\nrecord_format %d", node+1)
}

func TestTwoNodesOfBothRecordFormatsOnOneRedis(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, startPair(t, redistest.Start(t).URL(), bothFormats))
}

// A next release writes the same records with a higher version, and with fields
// that this one does not know.
type next struct {
	*pair
	redis *redistest.Server
}

// write does to a record what a next release would, whose version 2 this release
// reads, and 3 it does not.
func (n *next) write(t *testing.T, key string, version int) (before string) {
	t.Helper()
	before = n.read(t, key)
	after := []byte(before)
	switch {
	case after[0] == '{':
		after = bytes.Replace(after, []byte(`{"v":1`), fmt.Appendf(nil, `{"v":%d,"added":{"by":"next"}`, version), 1)
	case after[1] == 0: // CBOR, with a version
		after = append([]byte{after[0] + 1, 0, byte(version)}, after[3:]...)
		after = append(after, added...)
	default:
		after[0] += 2
		after = append(append(after, 0, byte(version)), added...)
	}
	n.redis.MustCommand("SET", key, string(after), "KEEPTTL")
	return before
}

// added is the field 200, with some bytes, in CBOR.
var added = []byte{0x18, 200, 0x43, 1, 2, 3}

func (n *next) read(t *testing.T, key string) string {
	t.Helper()
	answer := n.redis.MustCommand("GET", key)
	value, err := answer.ToString()
	if err != nil {
		t.Fatalf("reading %q: %v", key, err)
	}
	return value
}

// wantKept says that a record still has what the next release wrote.
func (n *next) wantKept(t *testing.T, key string, before string) {
	t.Helper()
	after := n.read(t, key)
	if after == before {
		t.Errorf("%q was not written", key)
	}
	isJSON := strings.Contains(after, `"added":{"by":"next"}`) && strings.Contains(after, `"v":2`)
	if !isJSON && !strings.Contains(after, string(added)) {
		t.Errorf("%q lost what the next release added: %q", key, after)
	}
}

// keys are those under the prefixes, without those in but.
func (n *next) keys(t *testing.T, prefixes []string, but []string) (found []string) {
	t.Helper()
	answer := n.redis.MustCommand("KEYS", "*")
	all, err := answer.AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range all {
		for _, p := range prefixes {
			if strings.HasPrefix(key, "sso:"+p) && !slices.Contains(but, key) {
				found = append(found, key)
			}
		}
	}
	return found
}

var (
	ofSessions = []string{"session:", "S"}
	ofGrants   = []string{"grant:"}
)

func TestARecordOfANextReleaseIsReadKeptOrLeftAlone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := &next{startPair(t, server.URL(), bothFormats), server}
	for node := range n.Nodes {
		t.Run(fmt.Sprintf("format %d", node+1), func(t *testing.T) {
			sessions, grants := n.keys(t, ofSessions, nil), n.keys(t, ofGrants, nil)
			browser := n.signedIn(t, node, harness.Demo)
			sessions = n.keys(t, ofSessions, sessions)
			if len(sessions) != 1 {
				t.Fatalf("%d sessions began: %q", len(sessions), sessions)
			}
			n.session(t, browser, sessions[0], node)

			g := newGame(t, n.Portal, "1", "email", "offline")
			program := n.browser(t, node)
			tokens := program.Post(g.Endpoint.TokenURL, g.form(g.codeOf(t, browser)))
			grants = n.keys(t, ofGrants, grants)
			if len(grants) != 1 {
				t.Fatalf("%d grants began: %q", len(grants), grants)
			}
			n.grant(t, g, program, tokens, grants[0], 1-node)
		})
	}
}

// session holds the record of a browser's session at both nodes.
func (n *next) session(t *testing.T, browser *harness.Client, key string, node int) {
	t.Helper()
	before := n.write(t, key, 2)
	for node := range n.Nodes {
		n.Lead(browser, node)
		if page := browser.Open(n.Gate + "/"); page.Status != http.StatusOK || page.URL.String() != n.Gate+"/" {
			t.Errorf("node %d, version 2: ended at %s with %d", node, page.URL, page.Status)
		}
	}
	if node == 1 { // a session of format 2 is written at each new site session
		n.forgetSite(t, browser)
		browser.Open(n.Gate + "/")
		n.wantKept(t, key, before)
	}

	n.redis.MustCommand("SET", key, before, "KEEPTTL")
	n.write(t, key, 3)
	newer := n.read(t, key)
	cookies := [2]map[string]string{browser.Cookies(n.Gate), browser.Cookies(n.Portal)}
	for node := range n.Nodes {
		n.Lead(browser, node)
		if page := browser.Open(n.Gate + "/"); page.Status != http.StatusServiceUnavailable {
			t.Errorf("node %d, version 3: a page ended at %s with %d", node, page.URL, page.Status)
		}
		wantStatus(t, browser, n.Gate+"/", http.StatusServiceUnavailable)
		if page := browser.Open(n.Portal + "/sso/sign_in"); page.Status != http.StatusServiceUnavailable {
			t.Errorf("node %d, version 3: the sign-in page answered %d", node, page.Status)
		}
	}
	for i, origin := range []string{n.Gate, n.Portal} {
		if now := browser.Cookies(origin); fmt.Sprint(now) != fmt.Sprint(cookies[i]) {
			t.Errorf("cookies of %s are %v, and were %v", origin, now, cookies[i])
		}
	}
	if n.read(t, key) != newer {
		t.Error("a session of version 3 was written")
	}
	n.redis.MustCommand("SET", key, before, "KEEPTTL")
	for node := range n.Nodes {
		n.Lead(browser, node)
		wantStatus(t, browser, n.Gate+"/", http.StatusOK)
	}
	n.Lead(browser, node)
}

// forgetSite has the gate begin another site session for a browser.
func (n *next) forgetSite(t *testing.T, browser *harness.Client) {
	t.Helper()
	gate, err := url.Parse(n.Gate)
	if err != nil {
		t.Fatal(err)
	}
	for name := range browser.Cookies(n.Gate) {
		if strings.Contains(name, "_site_") {
			browser.Jar.SetCookies(gate, []*http.Cookie{{Name: name, Path: "/", MaxAge: -1}})
		}
	}
}

// grant holds the record of a persistent grant at a node.
func (n *next) grant(t *testing.T, g *game, program *harness.Client, tokens *harness.Response, key string, node int) {
	t.Helper()
	refresh := func(tokens *harness.Response) *harness.Response {
		var got struct {
			Refresh string `json:"refresh_token"`
		}
		tokens.JSON(t, &got)
		return program.Post(g.Endpoint.TokenURL, url.Values{"grant_type": {"refresh_token"}, "client_id": {g.ClientID}, "refresh_token": {got.Refresh}})
	}
	n.Lead(program, node)
	before := n.write(t, key, 2)
	if tokens = refresh(tokens); tokens.Status != http.StatusOK {
		t.Fatalf("version 2: answered %d: %s", tokens.Status, tokens.Body)
	}
	n.wantKept(t, key, before)

	before = n.read(t, key)
	newer := strings.Replace(before, `"v":2`, `"v":3`, 1)
	if before[0] != '{' {
		newer = before[:2] + "\x03" + before[3:]
	}
	n.redis.MustCommand("SET", key, newer, "KEEPTTL")
	if refused := refresh(tokens); refused.Status != http.StatusTeapot {
		t.Errorf("version 3: answered %d: %s", refused.Status, refused.Body)
	}
	if n.read(t, key) != newer {
		t.Error("a grant of version 3 was written")
	}
	n.redis.MustCommand("SET", key, before, "KEEPTTL")
	if tokens = refresh(tokens); tokens.Status != http.StatusOK {
		t.Errorf("version 2 again: answered %d: %s", tokens.Status, tokens.Body)
	}
}
