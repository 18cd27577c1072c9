package browser

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// passwordLogin is what answers a wrong password with an error status, of which
// the browser speaks.
const passwordLogin = "/api/oauth2/login?"

// failPage serves the page of the documentation, with the one line changed that
// has to be: where the portal is.
func failPage(t *testing.T, c *harness.Caddyfile) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/fail-auth-url.html")
	if err != nil {
		t.Fatal(err)
	}
	const portal = `<meta name="portal" content="https://login.example.com">`
	if strings.Count(string(page), portal) != 1 {
		t.Fatal("the page does not say where the portal is")
	}
	dir := t.TempDir()
	changed := strings.Replace(string(page), "https://login.example.com", c.Portal, 1)
	if err := os.WriteFile(filepath.Join(dir, "sign-in.html"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	address := c.Gate + "/sign-in.html"
	c.Clients[0].Lines = strings.Replace(c.Clients[0].Lines, "/signed-out", "/sign-in.html", 1)
	c.GateOptions = "fail_auth_url " + address
	c.GateRoutes = "handle /sign-in.html {\nroot " + dir + "\nfile_server\n}"
	return address
}

func TestTheFailAuthURLPageOfTheDocumentationSignsIn(t *testing.T) {
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	c.Attempts = "per_account 4\nper_address 100\nevery 15m"
	address := failPage(t, c)
	server := harness.Start(t, c.String())
	b := newTab(t)
	b.expect(passwordLogin)
	b.open(c.Gate + "/play?level=3")
	b.path(address)
	b.sees("Sign in", "User name", "Use another sign-in method")
	b.seesNot("wrong")
	b.until("document.activeElement.id === 'username'")
	b.look("fail-auth-url")

	b.signIn("demo", "wrong")
	b.sees("User name or password is wrong.")
	b.until("document.activeElement.id === 'password' && password.value === ''")
	b.look("fail-auth-url-wrong")
	b.signIn("demo", harness.Demo.Password)
	b.isAtBackend(c.Gate+"/play?level=3", map[string]string{"X-SSO-User": "demo"})
	if n := len(server.Log.Audit("sign-in")); n != 1 {
		t.Errorf("signed in %d times", n)
	}
	// Back is where the person came from, not this page.
	b.open(c.Gate + "/next")
	b.at(c.Gate + "/next")
	b.back()
	b.isAtBackend(c.Gate+"/play?level=3", map[string]string{"X-SSO-User": "demo"})

	// The portal's own page is the other choice.
	other := newTab(t)
	other.open(c.Gate + "/play")
	other.path(address)
	other.click("Use another sign-in method")
	other.path(c.Portal + "/sso/sign_in")
	other.signIn("demo", harness.Demo.Password)
	other.isAtBackend(c.Gate+"/play", map[string]string{"X-SSO-User": "demo"})

	// Guesses end with words, too.
	guesser := newTab(t)
	guesser.expect(passwordLogin)
	guesser.open(c.Gate + "/play")
	guesser.path(address)
	for range 5 {
		guesser.do("document.getElementById('problem').textContent = ''")
		guesser.signIn("root", "wrong")
		guesser.until("document.getElementById('problem').textContent !== '' && document.activeElement.id === 'password'")
	}
	guesser.sees("Too many attempts. Try again in")
}

func TestTheFailAuthURLPageGivesNobodyElseThePassword(t *testing.T) {
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	address := failPage(t, c)
	server := harness.Start(t, c.String())
	b := newTab(t)
	for _, resume := range []string{
		"", "x", "https://evil.example/api/oauth2/auth?client_id=1", c.Portal + ".evil.example/api/oauth2/auth", c.Portal + "@evil.example/api/oauth2/auth",
		"//evil.example/api/oauth2/auth", "javascript:alert(1)", c.Portal + "/sso/sign_out", c.Gate + "/api/oauth2/auth",
	} {
		b.open(address + "?error=login_required&state=0123456789&resume=" + url.QueryEscape(resume))
		b.sees("Open the application, and begin there.")
		if eval[bool](b, "form.checkVisibility()") {
			t.Errorf("resume %q: the page asks for a password", resume)
		}
		if resume == "" {
			b.look("fail-auth-url-without-resume")
		}
	}
	// What the portal would not redirect to is refused by it.
	b.expect(passwordLogin)
	b.open(address + "?resume=" + url.QueryEscape(c.Portal+"/api/oauth2/auth?"+url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {"https://evil.example/"}, "state": {"0123456789"}, "scope": {""}, "audience": {"game"},
	}.Encode()))
	b.signIn("demo", harness.Demo.Password)
	b.sees("You cannot sign in here (0).")
	if n := len(server.Log.Audit("sign-in")); n != 0 {
		t.Errorf("signed in %d times", n)
	}
}
