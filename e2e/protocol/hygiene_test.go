package protocol

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// secrets are what no log line may hold, by what they are.
type secrets map[string]string

// add notes a value. What is short could be part of anything.
func (s secrets) add(t *testing.T, what, value string) {
	t.Helper()
	if len(value) < 8 {
		t.Fatalf("%s is only %q", what, value)
	}
	s[value] = what
}

// addURLs notes what the query strings of URLs hold.
func (s secrets) addURLs(t *testing.T, urls []string) {
	t.Helper()
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"code", "state", "w"} {
			if value := u.Query().Get(name); value != "" {
				s.add(t, name, value)
			}
		}
	}
}

func (s secrets) addCookies(t *testing.T, browser *harness.Client, origins ...string) {
	t.Helper()
	for _, origin := range origins {
		for name, value := range browser.Cookies(origin) {
			s.add(t, "cookie "+name, value)
		}
	}
}

// wantNone looks for the secrets as they are and as a query spells them.
func (s secrets) wantNone(t *testing.T, where string, lines []string) {
	t.Helper()
	for _, line := range lines {
		for value, what := range s {
			if strings.Contains(line, value) || strings.Contains(line, url.QueryEscape(value)) {
				t.Errorf("%s has a %s: %s", where, what, line)
			}
		}
	}
}

func TestNoSecretReachesALogOrTheStoreInClear(t *testing.T) {
	t.Parallel()
	t.Run("as the example logs", func(t *testing.T) {
		t.Parallel()
		lookForSecrets(t, "", true)
	})
	// Caddy's reverse_proxy writes every Referer there, which no filter reaches;
	// our pages send none.
	t.Run("at level debug", func(t *testing.T) {
		t.Parallel()
		lookForSecrets(t, "\ndebug", false)
	})
}

func lookForSecrets(t *testing.T, options string, referer bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sso.db")
	r := start(t, onFile(path), func(c *harness.Caddyfile) { c.Global += options })
	s := make(secrets)
	s.add(t, "client secret", harness.Secret)
	browser := harness.NewClient(t)

	signInWithMistakes(t, r, browser, s)
	s.addCookies(t, browser, r.Portal, r.Gate)
	redeemWithMistakes(t, r, browser, s, referer)
	callbackWithMistakes(t, r, browser, s)
	if resp := browser.Open(r.Portal + "/api/oauth2/auth?" + popupQuery(r, s)); resp.Status != http.StatusOK {
		t.Errorf("the widget answered %d: %s", resp.Status, resp.Body)
	} else {
		s.addURLs(t, resp.Seen)
	}
	submit(t, browser, r.Gate+"/oauth2/sign_out")
	browser.SignIn(r.Gate+"/", harness.Demo) // with the old cookies about
	s.addCookies(t, browser, r.Portal, r.Gate)
	r.server.SSO("user", "end", harness.Demo.Name)

	r.server.Stop()
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.wantNone(t, "the store", []string{string(stored)})
	lines := r.server.Log.Lines()
	s.wantNone(t, "the log", lines)
	if len(s) < 15 {
		t.Errorf("only %d secrets were looked for", len(s))
	}
	// The log is not clean for being empty.
	for _, want := range []string{
		`"msg":"sign-in"`, `"msg":"sign-in failed"`, `"msg":"code issued"`, `"msg":"code redeemed"`, `"msg":"code refused"`,
		`"msg":"code reused"`, `"msg":"grant ended"`, `"msg":"session ended"`, `"msg":"handled request"`, `code=REDACTED`, `state=REDACTED`,
	} {
		if len(r.server.Log.Containing(want)) == 0 {
			t.Errorf("the log has no %s", want)
		}
	}
}

func signInWithMistakes(t *testing.T, r *rig, browser *harness.Client, s secrets) {
	t.Helper()
	page := browser.Open(r.Gate + "/page")
	s.addURLs(t, page.Seen)
	form, err := page.Form("password")
	if err != nil {
		t.Fatal(err)
	}
	s.addCookies(t, browser, r.Portal, r.Gate)
	for _, password := range []string{"a-wrong-password-of-demo", harness.Demo.Password} {
		form.Values.Set("username", harness.Demo.Name)
		form.Values.Set("password", password)
		s.add(t, "password", password)
		s.add(t, "transaction", form.Values.Get("transaction"))
		if page, err = browser.Submit(form); err != nil {
			t.Fatal(err)
		}
		s.addURLs(t, page.Seen)
		if next, err := page.Form("password"); err == nil {
			form = next
		}
	}
	if page.URL.String() != r.Gate+"/page" {
		t.Fatalf("ended at %s with %d", page.URL, page.Status)
	}
}

func redeemWithMistakes(t *testing.T, r *rig, browser *harness.Client, s secrets, referer bool) {
	t.Helper()
	for _, id := range []string{"1", "2"} {
		g := newGame(t, r.Portal, id, "email")
		code := g.codeOf(t, browser)
		s.add(t, "code", code)
		s.add(t, "state", g.state)
		s.add(t, "code_verifier", g.verifier)
		form := g.form(code)
		if id == "2" {
			form.Set("client_secret", "a-wrong-secret-of-client-two")
			s.add(t, "client secret", form.Get("client_secret"))
			browser.Post(g.Endpoint.TokenURL, form)
			form.Set("client_secret", harness.Secret)
		}
		form.Set("code_verifier", verifier)
		wantRefused(t, browser.Post(g.Endpoint.TokenURL, form))
		form.Set("code_verifier", g.verifier)
		resp := browser.Post(g.Endpoint.TokenURL, form)
		var token struct {
			AccessToken string `json:"access_token"`
		}
		resp.JSON(t, &token)
		s.add(t, "token", token.AccessToken)
		form.Set("code_verifier", verifier)
		wantRefused(t, browser.Post(g.Endpoint.TokenURL, form)) // a replay by another client
		form.Set("code_verifier", g.verifier)
		// Where nothing of it belongs.
		req := formRequest(t, r.Gate+"/", form)
		req.Header.Set("Authorization", "Bearer "+token.AccessToken)
		if referer {
			req.Header.Set("Referer", g.RedirectURL+"?code="+code+"&state="+g.state)
		}
		if _, err := browser.Do(req); err != nil {
			t.Fatal(err)
		}
	}
}

func wantRefused(t *testing.T, resp *harness.Response) {
	t.Helper()
	if resp.Status != http.StatusBadRequest || errorCode(t, resp) != "010-023" {
		t.Errorf("answered %d: %s", resp.Status, resp.Body)
	}
}

// callbackWithMistakes sends the gate answers that it did not ask for.
func callbackWithMistakes(t *testing.T, r *rig, browser *harness.Client, s secrets) {
	t.Helper()
	const code, state = "a-code-that-nobody-issued-0123456789abcdefg", "a-state-that-nobody-sealed"
	s.add(t, "code", code)
	s.add(t, "state", state)
	for _, query := range []string{
		"code=" + code + "&state=" + state,
		"code=" + code + "&state=" + state + "&error=access_denied&error_description=no",
		"code=" + code + "&code=" + code + "&state=" + state + "&state=" + state,
	} {
		if page := browser.Open(r.Gate + "/oauth2/callback?" + query); page.Status != http.StatusBadRequest {
			t.Errorf("%s answered %d", query, page.Status)
		}
	}
}

func popupQuery(r *rig, s secrets) string {
	const state = "the-state-of-a-window"
	s[state] = "state"
	return url.Values{
		"client_id": {"1"}, "response_type": {"code"}, "redirect_uri": {r.Gate + "/oauth2/callback"}, "scope": {"email"},
		"state": {state}, "audience": {"game"}, "popup": {"true"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
}
