package caddymodule

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A configuration that is loaded while Redis is away has the keys of the one before,
// so it behaves like that one: known sessions pass, unauthenticated visitors get the
// sign-in page, and open forms stay valid.
func TestAReloadInAnOutageOfRedisKeepsTheKeys(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t)
	s := setup{storage: "storage redis " + server.URL() + " " + redisKey}
	w.mustLoad(s)
	known, page := w.visitor(), "http://"+w.site+"/"
	known.signIn(page)
	w.hearsAllOf(server)
	known.getOnce(page) // a session that is told to have changed is read again when it is next used
	waiting := w.visitor()
	form := waiting.get(page + "deep")

	server.Stop()
	s.global = "session {\nidle 1h\n}"
	w.mustLoad(s)
	if got := known.getOnce(page); got.body != "hello demo" {
		t.Errorf("a known session: %s: %s", got.Status, got.body)
	}
	if got := w.visitor().get(page); got.StatusCode != http.StatusOK || formAction.FindString(got.body) == "" {
		t.Errorf("an unauthenticated visitor is not shown the sign-in page: %s: %s", got.Status, got.body)
	}
	if got := waiting.submit(form, "demo", "demo"); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a sign-in without a store: %s: %s", got.Status, got.body)
	}
	// A client that the configuration brings has no key before Redis is back.
	s.global += strings.NewReplacer("SITE", w.site).Replace(`
		client 2 {
			name Other
			public
			redirect_uri http://SITE/elsewhere
			token_alg EdDSA
		}`)
	w.mustLoad(s)
	if got := known.getOnce(page); got.body != "hello demo" {
		t.Errorf("a known session, with an algorithm that is new: %s: %s", got.Status, got.body)
	}

	server.Restart()
	var done answered
	eventually(t, "the form that was open all the time is taken", func() bool {
		done = waiting.submit(form, "demo", "demo")
		return done.StatusCode != http.StatusServiceUnavailable
	})
	if done.body != "hello demo" || done.Request.URL.Path != "/deep" {
		t.Errorf("%s at %s: %s", done.Status, done.Request.URL, done.body)
	}
}

// hearsAllOf waits until what Redis tells of changes until now has arrived.
func (w *world) hearsAllOf(server *redistest.Server) {
	w.t.Helper()
	heard := make(chan struct{})
	var once sync.Once
	stop := w.running().opened.Load().State.Store.Watch(func(c storage.Change) {
		if c.Key == "marker" {
			once.Do(func() { close(heard) })
		}
	})
	defer stop()
	server.MustCommand("SET", "sso:marker", "x")
	select {
	case <-heard:
	case <-time.After(20 * time.Second):
		w.t.Fatal("redis tells of no change")
	}
}

// Keys that were sealed under another storage key are nobody's.
func TestAnotherStorageKeyInAnOutageFindsNoKeys(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t)
	s := setup{storage: "storage redis " + server.URL() + " " + redisKey}
	w.mustLoad(s)
	server.Stop()
	s.storage = strings.ReplaceAll(s.storage, "0123456789abcdef", "fedcba9876543210")
	w.mustLoad(s)
	if got := w.visitor().get("http://" + w.site + "/"); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("it seals with a key that it cannot know: %s: %s", got.Status, got.body)
	}
}

// It may be over or not: the page must not say that it is.
func TestASignOutWhileRedisIsSilentIsNotClaimed(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t)
	w.mustLoad(setup{storage: "storage redis " + server.URL() + " " + redisKey})
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	for _, origin := range []string{w.portal + "/sso", w.site + "/oauth2"} {
		form := v.get("http://" + origin + "/sign_out")
		server.Freeze()
		got := v.submit(form, "", "")
		server.Thaw()
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s, Retry-After %q: %s", origin, got.Status, got.Header.Get("Retry-After"), got.body)
		}
		for _, c := range got.Cookies() {
			if c.MaxAge < 0 {
				t.Errorf("%s: the cookie %s goes", origin, c.Name)
			}
		}
		eventually(t, "redis answers again", func() bool {
			return w.running().opened.Load().State.Store.Put(t.Context(), "x", nil, time.Hour) == nil
		})
		v = w.visitor()
		v.signIn("http://" + w.site + "/")
	}
}
