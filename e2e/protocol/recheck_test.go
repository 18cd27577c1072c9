package protocol

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// recheck is the shortest that there is.
const recheck = time.Minute

// Nothing here takes less than minutes, so that all of it is one test.
func TestAProviderIsAskedAgainWhetherItsUsersMayStillSignIn(t *testing.T) {
	t.Parallel()
	providers := make(map[string]*harness.Provider)
	r := start(t, func(c *harness.Caddyfile) {
		for _, id := range []string{"acme", "umbrella", "initech"} {
			p := harness.NewProvider(t, c.Portal+"/sso/callback/"+id)
			providers[id], p.Accounts = p, accounts
			p.Client = map[string]any{"grant_types": []string{"authorization_code", "refresh_token"}}
			c.Options += p.Caddyfile(id, "recheck "+recheck.String(), "scope profile email offline_access")
			p.Start()
		}
	})
	signIn := func(by, account string) *harness.Client {
		t.Helper()
		browser := harness.NewClient(t)
		page := browser.Open(r.Gate + "/")
		page = browser.SignInAt(browser.Open(r.Portal+page.Links("/sso/with/" + by + "?")[0]), account)
		if page.Status != http.StatusOK {
			t.Fatalf("ended at %s with %d:\n%s", page.URL, page.Status, page.Body)
		}
		return browser
	}
	acme, umbrella, initech := providers["acme"], providers["umbrella"], providers["initech"]
	ann, bob, eve, kim := signIn("acme", "ann"), signIn("acme", "bob"), signIn("umbrella", "eve"), signIn("initech", "bob")
	local := r.signedIn(t, harness.Demo)
	umbrella.Down(true)
	initech.Freeze()

	failed := func(id string) bool {
		return slices.ContainsFunc(r.server.Log.Containing("a provider could not be asked"), func(line string) bool {
			return strings.Contains(line, "signin "+id+":")
		})
	}
	// stay waits until ok, while people use what they are signed in to.
	stay := func(what string, ok func() bool, people ...*harness.Client) {
		t.Helper()
		for deadline := time.Now().Add(4*recheck + harness.Patience); !ok(); time.Sleep(200 * time.Millisecond) {
			for i, browser := range people {
				if status := browser.Fetch(r.Gate + "/").Status; status != http.StatusOK {
					t.Fatalf("waiting for %s: the gate answers %d to number %d; the audit log has %v", what, status, i, r.server.Log.Audit("session ended"))
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	all := []*harness.Client{ann, bob, eve, kim, local}
	stay("one provider to be asked, and the others to be found down and hanging", func() bool {
		return acme.Renewed("ann") > 0 && acme.Renewed("bob") > 0 && failed("umbrella") && failed("initech")
	}, all...)
	umbrella.Down(false)
	initech.Thaw()
	// Each refresh token works once: the second renewal takes what the first gave.
	stay("a second and third answer", func() bool {
		return acme.Renewed("ann") > 1 && acme.Renewed("bob") > 1 && umbrella.Renewed("eve") > 0
	}, all...)

	// What hung took the refresh token when nobody waited for the next one any more,
	// and cannot tell that from a thief's attempt. That is no fault of its users.
	stay("a refusal that does not count", func() bool {
		return len(r.server.Log.Containing("an earlier answer to that token was lost")) > 0
	}, all...)

	acme.Disable("ann")
	stay("the session of ann to end", func() bool {
		return ann.Fetch(r.Gate+"/").Status == http.StatusUnauthorized
	}, bob, eve, kim, local)
	for browser, user := range map[*harness.Client]string{bob: "bob.acme", eve: "eve", kim: "bob.acme", local: harness.Demo.Name} {
		r.wantAtBackend(t, browser, map[string]string{"X-SSO-User": user})
	}
	ended := slices.DeleteFunc(r.server.Log.Audit(""), func(e map[string]any) bool { return e["why"] != "acme says that the user may no longer sign in there" })
	if len(ended) != 1 || ended[0]["user"] != "ann.acme" {
		t.Errorf("of ended sessions the audit log says %v", ended)
	}
}
