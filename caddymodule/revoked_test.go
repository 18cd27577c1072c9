package caddymodule

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
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

// One account that is given grants, and ends them, as fast as it can leaves room
// in a small store for all others.
func TestClass35OneAccountDoesNotFillTheStore(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "12mb", "--maxmemory-policy", "noeviction")
	used := func() int {
		t.Helper()
		reply := server.MustCommand("MEMORY", "STATS")
		stats, err := reply.AsMap()
		if err != nil {
			t.Fatal(err)
		}
		dataset := stats["dataset.bytes"]
		n, err := dataset.AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	w := newWorld(t)
	w.mustLoad(setup{storage: "storage redis " + server.URL() + " " + redisKey, global: redeemers, local: "user eve HASH"})
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	before := used()
	r := redemption{"2", "", verifier, "/api/oauth2/auth", "/api/oauth2/token"}
	given, refused := 0, answered{}
	for range 2000 {
		code := r.code(v, [...]string{"openid", "offline"}[given%2])
		if got := r.redeem(v, code); got.StatusCode != http.StatusOK {
			refused = got
			break
		}
		given++
		thief := r
		thief.verifier = "another-verifier-of-at-least-forty-three-characters"
		thief.redeem(v, code) // which ends the grant
	}
	if refused.Response == nil || refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") == "" {
		t.Errorf("after %d grants: %+v", given, refused)
	}
	if grew := used() - before; grew > 1<<20 {
		t.Errorf("%d grants take %d bytes", given, grew)
	}
	eve := w.visitor()
	page := eve.get("http://" + w.site + "/")
	if got := eve.submit(page, "eve", "demo"); got.body != "hello eve" {
		t.Errorf("another user: %s: %s", got.Status, got.body)
	}
}

// What is counted of a user outlives a reload.
func TestAReloadForgetsNothingThatAUserWasGiven(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	before := w.running().opened.Load().Server
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	v.access()
	w.mustLoad(setup{global: "session {\nidle 1h\n}"})
	after := w.running().opened.Load().Server
	if before == after || after.Allowance != before.Allowance || after.Allowance.Len() != 2 {
		t.Errorf("%d counts after a reload, want one of grants and one of sign-ins", after.Allowance.Len())
	}
}
