package protocol

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// A replica that was behind becomes the master: it still has the sessions that
// were ended. Nobody gets in by them, at either node.
func TestClass39ASignOutOutlivesAFailoverToAReplicaThatWasBehind(t *testing.T) {
	t.Parallel()
	first, second := redistest.Start(t), redistest.Start(t)
	second.Follow(first)
	proxy := redistest.StartProxy(t, first)
	p := startPair(t, proxy.URL())

	const people = 20
	var thieves [people]*harness.Client
	var owners [people]*harness.Client
	for i := range owners {
		owners[i] = p.signedIn(t, i%2, harness.Demo)
		thieves[i] = p.browser(t, 1-i%2)
		for _, origin := range []string{p.Portal, p.Gate} {
			copyCookies(t, owners[i], thieves[i], origin)
		}
		wantStatus(t, thieves[i], p.Gate+"/", http.StatusOK)
	}
	stays := p.signedIn(t, 0, harness.Admin)
	harness.Eventually(t, "the replica has every session", func() bool {
		reply := second.MustCommand("KEYS", "sso:session:*")
		names, err := reply.AsStrSlice()
		return err == nil && len(names) == people+1
	})

	second.Promote() // from here on it is behind
	for _, owner := range owners {
		submit(t, owner, p.Portal+"/sso/account")
	}
	for _, thief := range thieves {
		harness.Eventually(t, "the sign-out is known everywhere", func() bool {
			return thief.Fetch(p.Gate+"/").Status == http.StatusUnauthorized
		})
	}
	proxy.LeadTo(second)
	first.Kill()

	back := 0
	for node := range 2 {
		p.Lead(stays, node)
		harness.Eventually(t, "the user who did not sign out is in", func() bool {
			return stays.Fetch(p.Gate+"/").Status == http.StatusOK
		})
		for _, thief := range thieves {
			p.Lead(thief, node)
			harness.Eventually(t, "the node answers", func() bool {
				status := thief.Fetch(p.Gate + "/").Status
				if status == http.StatusOK {
					back++
				}
				return status != http.StatusServiceUnavailable
			})
			if thief.Fetch(p.Gate+"/").Status != http.StatusUnauthorized {
				back++
			}
		}
	}
	if back > 0 {
		t.Errorf("%d of %d sessions that had ended were taken", back, 2*people)
	}
	harness.Eventually(t, "the new master has forgotten them, too", func() bool {
		reply := second.MustCommand("KEYS", "sso:session:*")
		names, err := reply.AsStrSlice()
		return err == nil && len(names) == 1
	})
}

func copyCookies(t *testing.T, from, to *harness.Client, origin string) {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	to.Jar.SetCookies(u, from.Jar.Cookies(u))
}
