package caddymodule

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/wallclock"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

func TestTheCommandsListAndWithdrawKeys(t *testing.T) {
	for name, storage := range map[string]string{"in Caddy's storage": "storage memory", "in the store": "redis"} {
		t.Run(name, func(t *testing.T) {
			if storage == "redis" {
				storage = "storage redis " + redistest.Start(t).URL() + " " + redisKey
			}
			w := newWorld(t)
			w.mustLoad(setup{storage: storage})
			v, page := w.visitor(), "http://"+w.site+"/"
			v.signIn(page)
			token := v.access()
			if got := w.call(token); got.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s", got.Status, got.body)
			}
			all, err := w.running().opened.Load().Server.Keys.List(t.Context())
			if err != nil || len(all) < 2 {
				t.Fatalf("%v, %v", all, err)
			}
			out, err := w.command("keys", "list")
			for _, d := range all {
				if err != nil || !strings.Contains(out, d.ID) || !strings.Contains(out, d.Use) || !strings.Contains(out, keys.StateActive) {
					t.Errorf("%v:\n%s", err, out)
				}
				if got := w.ask(http.MethodDelete, "/sso/keys/"+d.ID); got.StatusCode != http.StatusOK || strings.Contains(got.body, d.ID) {
					t.Errorf("withdrawing: %s: %s", got.Status, got.body)
				}
				if got := w.ask(http.MethodDelete, "/sso/keys/"+d.ID); got.StatusCode != http.StatusOK {
					t.Errorf("withdrawing it again: %s: %s", got.Status, got.body)
				}
			}
			if got := w.call(token); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("a token of a withdrawn key: %s: %s", got.Status, got.body)
			}
			if got := v.getOnce(page); got.body != "hello demo" {
				t.Errorf("a user is signed out: %s: %s", got.Status, got.body)
			}
			if got := w.call(v.access()); got.StatusCode != http.StatusOK {
				t.Errorf("a token of the new key: %s: %s", got.Status, got.body)
			}
			if _, err := w.command("keys", "withdraw", "nobody"); err == nil || !strings.Contains(err.Error(), "no key has this ID; see: caddy sso keys list") {
				t.Errorf("a key that is none: %v", err)
			}
			if got := w.ask(http.MethodPost, "/sso/keys"); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != http.MethodGet {
				t.Errorf("%s: %s", got.Status, got.body)
			}
		})
	}
}

// Of all clocks that a server has, the one of the machine is set.
func TestTheStatusSaysHowFarTheClocksAreApart(t *testing.T) {
	before := wallclock.Now
	t.Cleanup(func() { wallclock.Now = before })
	wallclock.Now = func() time.Time { return time.Now().Add(-70 * time.Second) }
	w := newWorld(t)
	w.mustLoad(setup{})
	if out, err := w.command("storage", "status"); err != nil || !strings.Contains(out, "no other than the clock of this node") {
		t.Errorf("%v:\n%s", err, out)
	}
	w.mustLoad(setup{storage: "storage redis " + redistest.Start(t).URL() + " " + redisKey})
	out, err := w.command("storage", "status")
	if err != nil || !strings.Contains(out, "behind the clock of the storage, which is used") {
		t.Errorf("%v:\n%s", err, out)
	}
	if off := time.Until(w.running().opened.Load().Server.Now()); off.Abs() > 10*time.Second {
		t.Errorf("the server's time is off by %s", off)
	}
	if got := w.visitor().signIn("http://" + w.site + "/"); got.body != "hello demo" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}
