package protocol

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// recheck is the shortest that there is.
const recheck = time.Minute

// Nothing here takes less than minutes, so that all of it is one test.
func TestAProviderIsAskedAgainWhetherItsUsersMayStillSignIn(t *testing.T) {
	t.Parallel()
	var acme, umbrella *harness.Provider
	r := start(t, func(c *harness.Caddyfile) {
		acme, umbrella = harness.NewProvider(t, c.Portal+"/sso/callback/acme"), harness.NewProvider(t, c.Portal+"/sso/callback/umbrella")
		for id, p := range map[string]*harness.Provider{"acme": acme, "umbrella": umbrella} {
			p.Accounts = accounts
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
	ann, bob, eve := signIn("acme", "ann"), signIn("acme", "bob"), signIn("umbrella", "eve")
	local := r.signedIn(t, harness.Demo)
	umbrella.Down(true)

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
	all := []*harness.Client{ann, bob, eve, local}
	stay("one provider to be asked, and the other to be found down", func() bool {
		return acme.Renewed("ann") > 0 && acme.Renewed("bob") > 0 && len(r.server.Log.Containing("a provider could not be asked")) > 0
	}, all...)
	umbrella.Down(false)
	// Each refresh token works once: the second renewal takes what the first gave.
	stay("a second and third answer", func() bool {
		return acme.Renewed("ann") > 1 && acme.Renewed("bob") > 1 && umbrella.Renewed("eve") > 0
	}, all...)

	acme.Disable("ann")
	stay("the session of ann to end", func() bool {
		return ann.Fetch(r.Gate+"/").Status == http.StatusUnauthorized
	}, bob, eve, local)
	for browser, user := range map[*harness.Client]string{bob: "bob.acme", eve: "eve", local: harness.Demo.Name} {
		r.wantAtBackend(t, browser, map[string]string{"X-SSO-User": user})
	}
	ended := slices.DeleteFunc(r.server.Log.Audit(""), func(e map[string]any) bool { return e["why"] != "acme says that the user may no longer sign in there" })
	if len(ended) != 1 || ended[0]["user"] != "ann.acme" {
		t.Errorf("of ended sessions the audit log says %v", ended)
	}
}
