package protocol

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// A Redis at its limit, under noeviction, refuses what takes room. Anyone who is banned
// then is out at both nodes, with all that outlives a session; and a ban that is
// repeated completes.
func TestClass16ABanIsWholeInARedisAtItsLimit(t *testing.T) {
	t.Parallel()
	for name, ban := range map[string]func(t *testing.T, p *pair, users string) []string{
		"user end": func(_ *testing.T, p *pair, _ string) []string {
			return []string{p.Nodes[1].SSO("user", "end", "Ann"), p.Nodes[0].SSO("user", "end", "ann")}
		},
		"session end": func(t *testing.T, p *pair, _ string) (out []string) {
			for _, line := range strings.Split(p.Nodes[0].SSO("session", "list"), "\n") {
				if id, rest, _ := strings.Cut(line, " "); strings.HasPrefix(strings.TrimSpace(rest), "ann ") {
					out = append(out, p.Nodes[len(out)%2].SSO("session", "end", id))
				}
			}
			return out
		},
		"user disable": func(t *testing.T, p *pair, users string) []string {
			if _, err := p.Nodes[0].Command("sso", "user", "disable", "ann", "--file", users); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, "ann has no session", func() bool { return !strings.Contains(p.Nodes[1].SSO("session", "list"), " ann ") })
			return []string{p.Nodes[0].SSO("user", "end", "ann")}
		},
		"the admin API": func(t *testing.T, p *pair, _ string) (out []string) {
			for range 2 {
				r, err := http.NewRequest(http.MethodDelete, "http://"+p.Nodes[0].AdminAddr()+"/sso/users/ann", nil)
				if err != nil {
					t.Fatal(err)
				}
				answer, err := harness.NewClient(t).Do(r)
				if err != nil || answer.Status != http.StatusOK {
					t.Fatalf("%+v, %v", answer, err)
				}
				out = append(out, answer.Body)
			}
			return out
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users := filepath.Join(t.TempDir(), "users.jsonl")
			var text strings.Builder
			for _, u := range []string{"ann", "bob"} {
				hash, err := harness.Hash(u)
				if err != nil {
					t.Fatal(err)
				}
				line, err := json.Marshal(map[string]any{"name": u, "hash": hash})
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&text, "%s\n", line)
			}
			if err := os.WriteFile(users, []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			redis := redistest.Start(t)
			c := harness.Standard(t, harness.NewBackend(t).Addr)
			c.NoLocal, c.Options = true, "signin local {\nusers "+users+"\n}"
			c.Clients = append(c.Clients, harness.PublicClient("11", "ES256"))
			p := &pair{harness.StartPair(t, c, redis.URL())}
			p.Balance(t)

			var anns []*harness.Client
			var refresh []string
			for node := range 2 {
				browser := harness.NewClient(t)
				browser.SignIn(p.Gate+"/", harness.User{Name: "ann", Password: "ann"})
				anns = append(anns, browser)
				for range 2 {
					g := newGame(t, p.Portal, "11", "offline")
					token, err := g.redeem(g.codeOf(t, browser))
					if err != nil {
						t.Fatal(err)
					}
					refresh = append(refresh, token.RefreshToken)
				}
				p.Lead(browser, node)
				wantStatus(t, browser, p.Gate+"/", http.StatusOK)
			}
			bob := harness.NewClient(t)
			bob.SignIn(p.Gate+"/", harness.User{Name: "bob", Password: "bob"})
			redis.MustCommand("CONFIG", "SET", "maxmemory-policy", "noeviction")
			redis.MustCommand("CONFIG", "SET", "maxmemory", "1")
			if _, err := redis.Command("SET", "more", "1"); err == nil {
				t.Fatal("the store is not full")
			}

			out := ban(t, p, users)
			t.Logf("%q", out)
			for _, browser := range anns {
				for node := range 2 {
					p.Lead(browser, node)
					harness.Eventually(t, "a browser of ann's is out at both nodes", func() bool {
						return browser.Fetch(p.Gate+"/").Status == http.StatusUnauthorized
					})
				}
			}
			wantStatus(t, bob, p.Gate+"/", http.StatusOK)
			redis.MustCommand("CONFIG", "SET", "maxmemory", "0")
			for _, token := range refresh {
				form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"11"}, "refresh_token": {token}}
				if got := bob.Post(p.Portal+"/api/oauth2/token", form); got.Status != http.StatusBadRequest {
					t.Errorf("a refresh token of ann's counts: %d", got.Status)
				}
			}
		})
	}
}
