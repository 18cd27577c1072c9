package browser

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// expressApp is an application of Express at another site than the portal: 127.0.0.1
// where that is localhost.
func expressApp(t *testing.T) (c *harness.Caddyfile, origin string) {
	t.Helper()
	c = harness.Standard(t, harness.NewBackend(t).Addr)
	harness.Start(t, c.String())
	script := harness.StartScript(t, "browser/testdata/express-openid-connect.mjs", map[string]string{
		"issuer": c.Portal, "clientID": "2", "clientSecret": harness.Secret,
	})
	var said struct{ Origin string }
	if err := script.Next(&said); err != nil {
		t.Fatal(err)
	}
	return c, said.Origin
}

func TestExpressSignsInByDiscoveryAndFormPost(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts, by the button": false} {
		t.Run(name, func(t *testing.T) {
			c, app := expressApp(t)
			b := newTab(t)
			b.scripts(scripts)
			b.expect("issue: CookieIssue") // the application sends a cookie for older browsers, too
			b.open(app + "/wiki?page=1")
			b.path(c.Portal + "/sso/sign_in/oauth2")
			b.signIn(demo.Name, demo.Password)
			if !scripts {
				b.path(c.Portal + "/oauth2/authorize")
				b.sees("You’re signed in", "Continue to Demo server.")
				b.click("Continue")
			}
			b.at(app + "/wiki?page=1")
			b.sees("Hello, " + demo.Email)
			b.noCodeBelow(app + "/callback")
		})
	}
}

// Chromium holds the redirects that follow a form against the policy of its page:
// a callback may lead on to what is registered for the same client.
func TestACallbackMayLeadOnToAnotherOriginOfItsClient(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><title>Application</title><link rel=icon href=data:,><p>The application.")) //nolint:errcheck // the browser went away
	}))
	t.Cleanup(page.Close)
	pageOrigin := strings.Replace(page.URL, "127.0.0.1", "localhost", 1)
	answers := make(chan url.Values, 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err == nil && r.Method == http.MethodPost {
			answers <- r.PostForm
		}
		http.Redirect(w, r, pageOrigin+"/app", http.StatusSeeOther)
	}))
	t.Cleanup(api.Close)
	callback := strings.Replace(api.URL, "127.0.0.1", "localhost", 1) + "/callback"

	c := harness.Standard(t, harness.NewBackend(t).Addr)
	c.Clients[1].Lines += "\nredirect_uri " + callback + "\npost_logout_redirect_uri " + pageOrigin + "/bye"
	harness.Start(t, c.String())
	b := newTab(t)
	b.open(c.Portal + "/oauth2/authorize?" + url.Values{
		"client_id": {"2"}, "response_type": {"code"}, "response_mode": {"form_post"}, "scope": {"openid"}, "redirect_uri": {callback}, "state": {"a;b"},
	}.Encode())
	b.signIn(demo.Name, demo.Password)
	b.at(pageOrigin + "/app")
	b.sees("The application.")
	if got := <-answers; got.Get("state") != "a;b" || got.Get("code") == "" || got.Get("iss") != c.Portal {
		t.Errorf("the callback got %v", got)
	}
	// The form has left no page in the history that would send it again.
	b.back()
	b.path(c.Portal + "/sso/sign_in/oauth2")
}

// As Apple does. The provider is of another site than the portal, so that browsers
// send no cookie that is SameSite=Lax with its form.
func TestAProviderThatPostsItsAnswerSignsIn(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts, by the buttons": false} {
		t.Run(name, func(t *testing.T) {
			c := harness.Standard(t, harness.NewBackend(t).Addr)
			acme := harness.NewProvider(t, c.Portal+"/sso/callback/acme")
			acme.Issuer = strings.Replace(acme.Issuer, "localhost", "127.0.0.1", 1)
			acme.Accounts = map[string]map[string]any{"ann": {"preferred_username": "ann.acme"}}
			acme.Start()
			c.Options += acme.Caddyfile("acme", `name "Acme Inc."`, "authorize_param response_mode form_post")
			harness.Start(t, c.String())
			b := newTab(t)
			b.scripts(scripts)
			b.expect("issue: CookieIssue") // Lax cookies do not go with the provider's form: that is what this is about
			b.open(c.Gate + "/play")
			b.path(c.Portal + "/sso/sign_in")
			b.click("Continue with Acme Inc.")
			b.until("location.origin === " + quote(acme.Issuer) + " && document.querySelector('[name=login]')")
			b.do("document.querySelector('[name=login]').value = 'ann'")
			b.click("Sign in at the provider")
			if !scripts {
				b.until("location.origin === " + quote(acme.Issuer) + " && document.querySelector('form[action*=callback]')")
				b.click("Continue")
				b.path(c.Portal + "/sso/callback/acme")
				b.sees("Signing in", "One more step.")
				b.click("Continue")
			}
			b.at(c.Gate + "/play")
			b.until("document.getElementById('user').textContent === 'ann.acme'")
			b.noCodeBelow(c.Portal + "/sso/callback/")
		})
	}
}

// noCodeBelow holds that the tab came by addresses which begin so, and that none of
// them has a code.
func (b *tab) noCodeBelow(beginning string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	came := false
	for _, d := range b.documents {
		if !strings.HasPrefix(d.url, beginning) {
			continue
		}
		came = true
		if strings.Contains(d.url, "code=") {
			b.t.Errorf("an address has the code: %s", beginning)
		}
	}
	if !came {
		b.t.Errorf("the tab did not come by %s", beginning)
	}
}
