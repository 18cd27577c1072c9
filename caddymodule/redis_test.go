package caddymodule

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

const redisKey = "{\nstorage_key 0123456789abcdef0123456789abcdef\n}"

func TestRedisMayComeUpAfterCaddy(t *testing.T) {
	server := redistest.Start(t)
	server.Stop()
	w := newWorld(t)
	w.mustLoad(setup{storage: "storage redis " + server.URL() + " " + redisKey})
	v, page := w.visitor(), "http://"+w.site+"/"
	got := v.get(page)
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("without a store: %s, Retry-After %q: %s", got.Status, got.Header.Get("Retry-After"), got.body)
	}
	server.Restart()
	eventually(t, "the sign-in page is there", func() bool { return v.get(page).StatusCode == http.StatusOK })
	if got := v.signIn(page); got.body != "hello demo" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

// Two configurations on one server are one store, and the pool lets go of it
// with the last.
func TestAReloadKeepsTheConnectionToRedis(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t)
	s := setup{storage: "storage redis " + server.URL() + " " + redisKey}
	w.mustLoad(s)
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	code := v.code()
	before := w.running().opened.Load()
	s.global = "session {\nidle 1h\n}"
	w.mustLoad(s)
	if after := w.running().opened.Load(); after.State != before.State || references(after.Identity) != 1 {
		t.Errorf("the store is another one, or %d hold it", references(after.Identity))
	}
	if got := v.getOnce("http://" + w.site + "/"); got.body != "hello demo" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	if got := v.redeem(code); got.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	w.mustLoad(setup{})
	if n := references(before.Identity); n != 0 {
		t.Errorf("%d hold a store that no configuration names", n)
	}
}

// Keys live in the store itself, sealed.
func TestSigningKeysLieSealedInRedis(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t)
	w.mustLoad(setup{storage: "storage redis " + server.URL() + " " + redisKey})
	reply := server.MustCommand("KEYS", "sso:*key*")
	names, err := reply.AsStrSlice()
	if err != nil || len(names) == 0 {
		t.Fatalf("no keys in the store: %v, %v", names, err)
	}
	for _, name := range names {
		reply := server.MustCommand("GET", name)
		value, err := reply.ToString()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(value, "PRIVATE") || strings.Contains(value, `"d":`) {
			t.Errorf("%s is not sealed", name)
		}
	}
}
