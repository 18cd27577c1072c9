package protocol

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

func onFile(path string) func(*harness.Caddyfile) {
	return func(c *harness.Caddyfile) { c.Storage = "file " + path }
}

func TestStorageFileKeepsSessionsOverACrashAndARestart(t *testing.T) {
	t.Parallel()
	r := start(t, onFile(filepath.Join(t.TempDir(), "sso.db")))
	browser := r.signedIn(t, harness.Demo)
	subject := r.echo(t, browser).Header.Get("X-SSO-Subject")
	keys := publishedKeys(t, browser, r.Portal, "1")

	for _, tt := range []struct {
		name string
		end  func()
	}{
		{"a crash", r.server.Kill},
		{"a restart", r.server.Stop},
	} {
		tt.end()
		if err := r.server.Up(); err != nil {
			t.Fatalf("after %s: %v", tt.name, err)
		}
		if echo := r.echo(t, browser); echo.Header.Get("X-SSO-User") != harness.Demo.Name || echo.Header.Get("X-SSO-Subject") != subject {
			t.Errorf("after %s the site session is %v", tt.name, echo.Header)
		}
		wantStatus(t, browser, r.ssoURL(), http.StatusOK)
		if after := publishedKeys(t, browser, r.Portal, "1"); after[0] != keys[0] {
			t.Errorf("after %s the key is another one", tt.name)
		}
	}

	// What was ended stays ended.
	submit(t, browser, r.Portal+"/sso/account")
	r.server.Kill()
	if err := r.server.Up(); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, browser, r.Gate+"/", http.StatusUnauthorized)
}

func TestASignInBegunBeforeARestartEndsAfterIt(t *testing.T) {
	t.Parallel()
	r := start(t, onFile(filepath.Join(t.TempDir(), "sso.db")))
	browser := harness.NewClient(t)
	form, err := browser.Open(r.Gate + "/page?with=query").Form("password")
	if err != nil {
		t.Fatal(err)
	}
	r.server.Restart()
	form.Values.Set("username", harness.Demo.Name)
	form.Values.Set("password", harness.Demo.Password)
	page, err := browser.Submit(form)
	if err != nil {
		t.Fatal(err)
	}
	if page.Status != http.StatusOK || page.URL.String() != r.Gate+"/page?with=query" {
		t.Errorf("ended at %s with %d", page.URL, page.Status)
	}
}

func TestStorageMemorySignsEverybodyOutWithARestart(t *testing.T) {
	t.Parallel()
	r := start(t)
	browser := r.signedIn(t, harness.Demo)
	r.server.Restart()
	wantStatus(t, browser, r.Gate+"/", http.StatusUnauthorized)
	wantStatus(t, browser, r.ssoURL(), http.StatusUnauthorized)
	// Signing in again works with the cookies of before.
	if page := browser.SignIn(r.Gate+"/", harness.Demo); page.Status != http.StatusOK {
		t.Errorf("signing in again ended at %s with %d", page.URL, page.Status)
	}
}

func TestASecondServerOnTheSameFileIsToldSoWhileTheFirstGoesOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sso.db")
	r := start(t, onFile(path))
	browser := r.signedIn(t, harness.Demo)

	second := harness.Standard(t, r.Backend)
	onFile(path)(second)
	_, err := harness.Launch(t, second.String(), t.TempDir())
	if err == nil {
		t.Fatal("the second server came up")
	}
	for _, want := range []string{path, "another process"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if user := r.userAtBackend(t, browser); user != harness.Demo.Name {
		t.Errorf("the first server knows %q", user)
	}
	if page := harness.NewClient(t).SignIn(r.Gate+"/", harness.Admin); page.Status != http.StatusOK {
		t.Errorf("signing in at the first server ended with %d", page.Status)
	}
}

func TestValidateTellsGoodFromBadBesideARunningServer(t *testing.T) {
	t.Parallel()
	r := start(t, onFile(filepath.Join(t.TempDir(), "sso.db")))
	browser := r.signedIn(t, harness.Demo)
	if err := r.server.Validate(r.String()); err != nil {
		t.Errorf("the running configuration is called bad: %v", err)
	}
	for _, tt := range []struct {
		name, say string
		vary      func(*harness.Caddyfile)
	}{
		{"an unknown client", "client", func(c *harness.Caddyfile) { c.Clients = c.Clients[1:] }},
		{"http that is not loopback", "https", func(c *harness.Caddyfile) { c.Portal, c.PortalSite = "http://login.example.com", c.Portal }},
		{"a hash that is none", "hash-password", func(c *harness.Caddyfile) { c.Options = "signin local {\nuser x secret\n}" }},
		{"an unknown option", "sesion", func(c *harness.Caddyfile) { c.Options = "sesion {\nidle 1h\n}" }},
		{"no storage_key", "storage_key", func(c *harness.Caddyfile) { c.Storage = "redis redis://localhost:1" }},
	} {
		bad := *r.Caddyfile
		tt.vary(&bad)
		switch err := r.server.Validate(bad.String()); {
		case err == nil:
			t.Errorf("%s is called good", tt.name)
		case !strings.Contains(err.Error(), tt.say):
			t.Errorf("of %s the error does not say %q: %v", tt.name, tt.say, err)
		}
		if err := r.server.TryReload(bad.String()); err == nil {
			t.Errorf("a reload takes %s", tt.name)
		}
	}
	if user := r.userAtBackend(t, browser); user != harness.Demo.Name {
		t.Errorf("after all of that the server knows %q", user)
	}
}
