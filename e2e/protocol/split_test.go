package protocol

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// A Redis comes back empty, and one node restarts: everybody has to sign in again,
// and everybody can, whichever node each request meets.
func TestKeysDoNotSplitWhenTheStoreComesBackEmpty(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*redistest.Server){
		"flushed":                       func(s *redistest.Server) { s.MustCommand("FLUSHALL") },
		"restarted without persistence": func(s *redistest.Server) { s.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			p := startPair(t, redis.URL())
			signInAcross(t, p)
			before := kids(publishedKeys(t, p.browser(t, 0), p.Portal, "1"))
			if name != "flushed" {
				redis.Stop()
			}
			lose(redis)
			p.Nodes[1].Restart()
			for range 20 {
				signInAcross(t, p)
				keysAcross(t, p)
			}
			for node := range p.Nodes {
				after := kids(publishedKeys(t, p.browser(t, node), p.Portal, "1"))
				for _, kid := range before {
					if !slices.Contains(after, kid) {
						t.Errorf("node %d publishes %q, and not %q of before", node, after, kid)
					}
				}
			}
		})
	}
}

func kids(published []projectKey) (ids []string) {
	for _, key := range published {
		ids = append(ids, key.Kid)
	}
	return ids
}

// The operator withdraws the keys in use at one node. The other knows at once.
func TestAWithdrawnKeyIsDeadAtEveryNode(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	p := startPair(t, redis.URL())
	browser := p.signedIn(t, 0, harness.Demo)
	g := newGame(t, p.Portal, "1", "email")
	resp := browser.Post(g.Endpoint.TokenURL, g.form(g.codeOf(t, browser)))
	var token struct {
		AccessToken string `json:"access_token"`
	}
	resp.JSON(t, &token)
	other := p.browser(t, 1)
	me := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Portal+"/api/users/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token.AccessToken)
		got, err := other.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return got.Status
	}
	if status := me(); status != http.StatusOK {
		t.Fatalf("the token is answered with %d", status)
	}
	conn, _, err := websocket.Dial(context.Background(), p.Gate+"/ws", &websocket.DialOptions{
		HTTPClient: other.HTTP(), HTTPHeader: http.Header{"Authorization": {"Bearer " + token.AccessToken}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	ended := whenOver(func() { _, _, _ = conn.Read(context.Background()) })

	withdrawn := active(p.Nodes[0].SSO("keys", "list"))
	for _, id := range withdrawn {
		p.Nodes[0].SSO("keys", "withdraw", "--", id)
	}
	harness.Eventually(t, "the other node refuses the token", func() bool { return me() == http.StatusUnauthorized })
	harness.Eventually(t, "the other node's WebSocket ends", func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	signInAcross(t, p)

	redis.MustCommand("FLUSHALL") // and the marks with all else
	p.Nodes[1].Restart()
	signInAcross(t, p)
	if status := me(); status != http.StatusUnauthorized {
		t.Errorf("the token is answered with %d by a store that lost the marks", status)
	}
	for node := range p.Nodes {
		list := p.Nodes[node].SSO("keys", "list")
		for _, id := range withdrawn {
			if strings.Contains(list, id) || slices.Contains(kids(publishedKeys(t, p.browser(t, node), p.Portal, "1")), id) {
				t.Errorf("node %d lists %s, which is withdrawn:\n%s", node, id, list)
			}
		}
	}
}

// active reads the IDs of the keys in use out of what caddy sso keys list prints.
func active(list string) (ids []string) {
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "active" {
			ids = append(ids, fields[0])
		}
	}
	return ids
}
