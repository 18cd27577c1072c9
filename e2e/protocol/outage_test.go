package protocol

import (
	"net/http"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

func TestAnOutageOfRedisSignsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		begin, end func(*redistest.Server)
	}{
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Restart},
		{"hanging", (*redistest.Server).Freeze, (*redistest.Server).Thaw},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// On disk, so that what was there is there again.
			redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			p := startPair(t, redis.URL())
			known, unknown := p.signedIn(t, 0, harness.Demo), p.signedIn(t, 1, harness.Demo)
			cookies := unknown.Cookies(p.Gate + "/")

			tt.begin(redis)
			for range 3 {
				wantStatus(t, known, p.Gate+"/", http.StatusOK)
			}
			p.Lead(unknown, 0) // a node that never saw this session
			wantUnavailable(t, unknown.Fetch(p.Gate+"/"))
			wantUnavailable(t, unknown.Open(p.Gate+"/"))
			if resp := wantStatus(t, unknown, ssoCheck(p), http.StatusTeapot); errorCode(t, resp) != "004-001" {
				t.Errorf("the portal says %s", resp.Body)
			}
			unauthenticated := p.browser(t, 0)
			wantStatus(t, unauthenticated, p.Gate+"/", http.StatusUnauthorized)
			for name, value := range unknown.Cookies(p.Gate + "/") {
				if cookies[name] != value {
					t.Errorf("cookie %s changed", name)
				}
			}

			tt.end(redis)
			harness.Eventually(t, "the unknown session is known again", func() bool {
				return unknown.Fetch(p.Gate+"/").Status == http.StatusOK
			})
			wantStatus(t, known, p.Gate+"/", http.StatusOK)
			harness.Eventually(t, "signing in works again", func() bool {
				page, err := p.browser(t, 0).TrySignIn(p.Gate+"/", harness.Admin)
				return err == nil && page.Status == http.StatusOK
			})
			// What changes is heard of again, on every node.
			submit(t, known, p.Portal+"/sso/account")
			p.Lead(known, 1)
			harness.Eventually(t, "a sign-out reaches the other node", func() bool {
				return known.Fetch(p.Gate+"/").Status == http.StatusUnauthorized
			})
		})
	}
}

func ssoCheck(p *pair) string { return (&rig{Caddyfile: p.Caddyfile}).ssoURL() }

// wantUnavailable wants an answer that leaves the session alone.
func wantUnavailable(t *testing.T, resp *harness.Response) {
	t.Helper()
	if resp.Status != http.StatusServiceUnavailable {
		t.Errorf("%s answered %d: %s", resp.URL, resp.Status, resp.Body)
	}
	if resp.Header.Get("Retry-After") == "" {
		t.Error("the answer has no Retry-After")
	}
	if set := resp.Header.Values("Set-Cookie"); len(set) > 0 {
		t.Errorf("the answer sets cookies: %d", len(set))
	}
}
