package license

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

func TestNoSecretOfALicenseReachesALogOrTheStoreInClear(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{"as the README has it": "", "at level debug": "\ndebug"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var provider *harness.Provider
			users := &userBackend{addr: fmt.Sprintf("127.0.0.1:%d", harness.Port(t))}
			path := filepath.Join(t.TempDir(), "sso.db")
			w := start(t, withProvider(t, &provider), func(c *harness.Caddyfile, l *harness.License) {
				c.Global += options
				c.Storage = "file " + path
				l.Product = "provision http://" + users.addr + "/users?key=a-key-in-a-query " + provisionSecret
			})
			secrets := map[string]string{
				harness.SharedKey: "shared key", harness.ProviderSecret: "secret at the provider", provisionSecret: "secret of the provisioner",
				"a-key-in-a-query": "URL of the provisioner",
			}
			mistakes(t, w, provider, users, secrets)

			w.server.Stop()
			stored, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := w.server.Log.Lines()
			for value, what := range secrets {
				if len(value) < 8 {
					t.Fatalf("the %s is only %q", what, value)
				}
				if strings.Contains(string(stored), value) {
					t.Errorf("the store has a %s", what)
				}
				for _, line := range lines {
					if strings.Contains(line, value) || strings.Contains(line, url.QueryEscape(value)) {
						t.Errorf("the log has a %s: %s", what, line)
					}
				}
			}
			if len(secrets) < 12 {
				t.Errorf("only %d secrets were looked for", len(secrets))
			}
			for _, event := range []string{"license activation", "license activation refused"} {
				if len(w.server.Log.Audit(event)) == 0 {
					t.Errorf("the audit log has no %q: %v", event, w.server.Log.Audit(""))
				}
			}
		})
	}
}

// mistakes does all that can go wrong between the things that go right, and
// notes every secret that is seen.
func mistakes(t *testing.T, w *world, provider *harness.Provider, users *userBackend, secrets map[string]string) {
	t.Helper()
	a := w.app(t, harness.NewClient(t))
	a.Account = "acme"
	a.browser.Open(a.link(t, "code")) // the provider is down
	provider.Start()
	note := func(link string) string {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		secrets[u.Query().Get("handle")] = "handle"
		secrets[u.Query().Get("state")] = "state"
		return link
	}
	var page *harness.Response
	harness.Eventually(t, "the provider is asked again", func() bool {
		page = a.browser.Open(note(a.link(t, "code")))
		return strings.HasPrefix(page.URL.String(), provider.Issuer+"/")
	})
	page = a.browser.SignInAt(page, "ada") // nobody hears of the first sign-in
	a.wantPage(t, page, w.Portal, http.StatusServiceUnavailable, "Your license is not ready yet")
	again, err := page.LinkSaying("Try again now")
	if err != nil {
		t.Fatal(err)
	}
	users.open = true
	users.serve(t)
	code := codeIn(t, a.arrived(t, a.browser.Open(again)))
	secrets[code] = "code"

	post := func(body []byte, vary ...func(*http.Request)) { w.post(t, routes[0], body, vary...) }
	post(a.Activation(code, "x"))
	post(append(a.Activation(code, ""), '{'))
	post(a.Activation(code, ""), header("Content-Encoding", "br"))
	a.Account = "other"
	post(a.Activation(code, ""))
	a.Account = "acme"
	for range 3 {
		post(a.Activation(code, ""), func(r *http.Request) {
			a.Sign(r.Header)
			_, signature, _ := strings.Cut(r.Header.Get("Authorization"), `signature="`)
			signature, _, _ = strings.Cut(signature, `"`)
			secrets[signature] = "signature"
		})
	}
	answer := a.arrived(t, a.browser.Open(note(a.link(t, "token"))))
	for _, name := range []string{"id_token", "access_token"} {
		secrets[answer.Get(name)] = name
		post(a.Activation("", answer.Get(name)))
		post(a.Activation("", answer.Get(name)+"x"))
	}
	for name, value := range a.browser.Cookies(w.Portal) {
		secrets[value] = "cookie " + name
	}
	a.browser.Open(w.Portal + "/oauth2/end_session?id_token_hint=" + answer.Get("id_token"))
}
