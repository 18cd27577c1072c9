package caddymodule

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/storageengines"
)

// A reload with another policy changes the policy, and nothing else.
func TestAReloadKeepsStoreSessionsCodesAndAttempts(t *testing.T) {
	for _, storage := range []string{"storage memory", "storage file DIR/sso.db"} {
		t.Run(storage, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{storage: storage})
			before := w.running().opened.Load().State
			v, page := w.visitor(), "http://"+w.site+"/"
			v.signIn(page)
			code := v.code()
			guesser := w.visitor()
			for range 10 {
				guesser.submit(guesser.get(page), "demo", "wrong")
			}

			w.mustLoad(setup{storage: storage, gate: "require group admins", global: "session {\nidle 1h\n}\ncodes {\nper_session 1\n}"})
			c := w.running().opened.Load()
			if c.State != before {
				t.Error("the store is another one")
			}
			if n := references(c.Identity); n != 1 {
				t.Errorf("%d hold the store, not the new configuration alone", n)
			}
			if got := v.getOnce(page); got.StatusCode != http.StatusForbidden {
				t.Errorf("the session is lost, or the policy is the old one: %s", got.Status)
			}
			if got := v.redeem(code); got.StatusCode != http.StatusOK {
				t.Errorf("the code is lost: %s: %s", got.Status, got.body)
			}
			if got := guesser.submit(guesser.get(page), "demo", "demo"); got.StatusCode != http.StatusTooManyRequests {
				t.Errorf("the attempts are forgotten: %s", got.Status)
			}
		})
	}
}

func TestAReloadForgivesNoWrongSecret(t *testing.T) {
	w := newWorld(t)
	const server = "client 2 {\nsecret 0123456789abcdef\nredirect_uri https://server.example/cb\n}\n"
	w.mustLoad(setup{global: server})
	own := func(secret string) int {
		r, err := http.PostForm("http://"+w.portal+"/oauth2/token", url.Values{ //nolint:noctx // a test
			"grant_type": {"client_credentials"}, "client_id": {"2"}, "client_secret": {secret},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	if got := own("0123456789abcdef"); got != http.StatusOK {
		t.Fatal(got)
	}
	for range 30 {
		own("wrong")
	}
	w.mustLoad(setup{global: server + "session {\nidle 1h\n}"})
	if got := own("wrong"); got != http.StatusTooManyRequests {
		t.Errorf("the wrong secrets are forgotten: %d", got)
	}
}

func TestASignInBegunBeforeAReloadEndsAfterIt(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	v := w.visitor()
	page := v.get("http://" + w.site + "/deep")
	w.mustLoad(setup{global: "session {\nidle 1h\n}"})
	if got := v.submit(page, "demo", "demo"); got.body != "hello demo" || got.Request.URL.Path != "/deep" {
		t.Errorf("%s at %s: %s", got.Status, got.Request.URL, got.body)
	}
}

// Reloads in the middle of traffic answer every request as before. A connection
// that waits in the queue of a listener that Caddy closes may be reset; that is
// so without us, and clients try again.
func TestReloadsUnderTrafficFailNoRequest(t *testing.T) {
	w := newWorld(t)
	s := setup{storage: "storage file DIR/sso.db"}
	w.mustLoad(s)
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	var answers atomic.Int64
	for range 4 {
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := v.Get("http://" + w.site + "/")
				if err != nil {
					continue
				}
				resp.Body.Close()
				answers.Add(1)
				if resp.StatusCode != http.StatusOK || resp.Request.URL.Host != w.site {
					t.Errorf("%s at %s", resp.Status, resp.Request.URL)
					return
				}
			}
		})
	}
	for i := range 6 {
		s.global = "session {\nidle " + []string{"1h", "2h"}[i%2] + "\n}"
		if err := w.load(s); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	traffic.Wait()
	if answers.Load() == 0 {
		t.Error("no request was answered")
	}
	c := w.running().opened.Load()
	if n := references(c.Identity); n != 1 {
		t.Errorf("%d hold the store after the reloads, not 1", n)
	}
	if n := c.Holders(); n != 1 {
		t.Errorf("%d hold the core after the requests, not the app alone", n)
	}
}

// The folders of the default path are made at the first start. When one of
// their parents is a link, the path is spelled otherwise afterwards.
func TestAFileBehindALinkIsOneStoreBeforeAndAfterItIsMade(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"real", "other"} {
		if err := os.Mkdir(filepath.Join(w.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real", filepath.Join(w.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(w.dir, "other", "later.db"), filepath.Join(w.dir, "dangling.db")); err != nil {
		t.Fatal(err)
	}
	for path, real := range map[string]string{
		"DIR/link/new/folder/sso.db": "DIR/real/new/folder/sso.db",
		"DIR/dangling.db":            "DIR/other/later.db",
	} {
		w.mustLoad(setup{storage: "storage file " + path})
		first := w.running().opened.Load()
		for _, again := range []string{path, real} {
			w.mustLoad(setup{storage: "storage file " + again, global: "session {\nidle 1h\n}"})
			if second := w.running().opened.Load(); second.State != first.State {
				t.Errorf("%q became %q", first.Identity, second.Identity)
			}
		}
	}
}

// A circle of links is no store, but it ends.
func TestACircleOfLinksEnds(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("b", filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	s := &storageengines.File{Path: filepath.Join(dir, "a", "sso.db")}
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(nil, time.Now); err == nil {
		t.Errorf("%s was opened", s.Identity())
	}
}
