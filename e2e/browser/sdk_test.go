package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The published JavaScript SDK, as npm has it, of which the base URL alone is
// changed. It is whole in one file: what its package names beside that is not
// loaded, and not installed.
func TestThePublishedJavaScriptSDKSignsIn(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "node_modules", "@xsolla", "login-sdk", "dist", "sdk.js"))
	if err != nil {
		t.Fatalf("there is no SDK (%v); install the Debian package npm, then run in e2e: npm ci --ignore-scripts", err)
	}
	w := onLoopback(t)
	b := newTab(t)
	for _, refused := range []string{"/api/oauth2/login?", "/api/oauth2/social/google/", "/api/oauth2/logout?"} {
		b.expect(refused)
	}
	b.open(w.partner + "/opener?coop=")
	b.sees("Opener")
	b.do(string(source) + `; window.sdk = XsollaLogin;`)
	b.do(`window.api = new sdk.Api({
		apiUrl: ` + quote(w.portal+"/api/") + `, projectId: "7", clientId: 7, responseType: "code", state: "a state of it",
		redirectUri: ` + quote(w.partner+"/oauth2/callback") + `, scope: "offline",
	})`)
	const code = `.then(JSON.stringify, error => "refused: " + error.code)`
	signIn := func(password string) string {
		return `api.login({credentials: {username: ` + quote(demo.Name) + `, password: ` + quote(password) + `, remember_me: true}})`
	}
	if got := b.promised(signIn("wrong") + code); got != "refused: 003-001" {
		t.Errorf("a wrong password: %s", got)
	}
	if got := b.promised(`api.getSocialLink("google")` + code); got != "refused: 003-061" {
		t.Errorf("a provider that is not there: %s", got)
	}
	token := b.promised(signIn(demo.Password) + `.then(({login_url}) => fetch(` + quote(w.portal+"/api/oauth2/token") + `, {method: "POST", body: new URLSearchParams({
		grant_type: "authorization_code", client_id: "7", redirect_uri: ` + quote(w.partner+"/oauth2/callback") + `, code: new URL(login_url).searchParams.get("code"),
	})})).then(answer => answer.json()).then(answer => answer.access_token)`)
	if strings.Count(token, ".") != 2 {
		t.Fatalf("no token, but %s", token)
	}
	me := `fetch(` + quote(w.portal+"/api/users/me") + `, {headers: {Authorization: "Bearer " + ` + quote(token) + `}}).then(answer => answer.text())`
	if got := b.promised(me); !strings.Contains(got, `"is_anonymous":false`) || !strings.Contains(got, `"last_login"`) {
		t.Errorf("the user is %s", got)
	}
	if got := b.promised(`api.logout(` + quote(token) + `, "all")` + code); got != `""` {
		t.Errorf("logout: %s", got)
	}
	if got := b.promised(`api.logout(` + quote(token) + `, "all")` + code); got != "refused: 002-016" {
		t.Errorf("logout again: %s", got)
	}
	if got := b.promised(`api.clearSSO()` + code); got != `""` {
		t.Errorf("clear_sso: %s", got)
	}
}

// promised is what a promise comes to, as text.
func (b *tab) promised(expression string) string {
	b.t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fatalf("%s: %v", expression, err)
	}
	return got
}
