package caddymodule

import (
	"net/http"
	"net/url"
	"testing"
)

// A revoked token does not count again when the store is full of what came after
// it, however little the store holds.
func TestClass35ARevokedTokenStaysRevokedInAStoreThatIsFull(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{storage: "storage memory {\ncapacity 150\n}", global: redeemers})
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	r := redemption{"2", "", verifier, "/api/oauth2/auth", "/api/oauth2/token"}
	give := func(scope string) tokens {
		t.Helper()
		given := r.redeemAtOnce(v, r.code(v, scope), 1)
		if len(given) != 1 {
			t.Fatal("no tokens")
		}
		return given[0]
	}
	session, offline := give(""), give("offline")
	for _, token := range []string{session.Access, offline.Refresh} {
		got := v.send(v.request(http.MethodPost, "http://"+w.portal+"/api/oauth2/token/revoke", url.Values{"client_id": {"2"}, "token": {token}}.Encode()))
		if got.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", got.Status, got.body)
		}
	}
	for range 300 {
		give("offline")
	}
	if !v.valid(give("").Access) {
		t.Fatal("the session has ended, so that this test says nothing")
	}
	for name, token := range map[string]string{"of a session": session.Access, "offline": offline.Access} {
		if v.valid(token) {
			t.Errorf("a revoked token counts again: %s", name)
		}
	}
	if got := r.refresh(v, offline.Refresh); got.StatusCode == http.StatusOK {
		t.Error("a revoked refresh token counts again")
	}
}

// What is counted of a user outlives a reload.
func TestAReloadForgetsNothingThatAUserWasGiven(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	before := w.running().opened.Load().server
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	v.access()
	w.mustLoad(setup{global: "session {\nidle 1h\n}"})
	after := w.running().opened.Load().server
	if before == after || after.Allowance != before.Allowance || after.Allowance.Len() != 2 {
		t.Errorf("%d counts after a reload, want one of grants and one of sign-ins", after.Allowance.Len())
	}
}
