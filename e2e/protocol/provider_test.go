package protocol

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// accounts are those at the provider.
var accounts = map[string]map[string]any{
	"ann": {
		"preferred_username": "ann.acme", "email": "ann@acme.example", "email_verified": true,
		"roles": []string{"players", "staff"}, "picture": "https://acme.example/ann.png",
	},
	"bob": {"preferred_username": "bob.acme", "email": "bob@acme.example", "email_verified": false},
	"eve": {"email": "eve@evil.example@acme.example", "email_verified": true},
}

const callback = "/sso/callback/acme"

// atProvider is a rig beside a provider, which is the only sign-in method where
// alone is set. It is not started.
func atProvider(t *testing.T, alone bool) (*rig, *harness.Provider) {
	t.Helper()
	var p *harness.Provider
	r := start(t, func(c *harness.Caddyfile) {
		p = harness.NewProvider(t, c.Portal+callback)
		p.Accounts = accounts
		c.Options += p.Caddyfile("acme", `name "Acme Inc."`, "scope profile email groups", "claim groups roles")
		if alone {
			c.Users = nil
			c.NoLocal = true
		}
	})
	return r, p
}

func (r *rig) wantAtBackend(t *testing.T, browser *harness.Client, header map[string]string) {
	t.Helper()
	got := r.echo(t, browser).Header
	for name, value := range header {
		if got.Get(name) != value {
			t.Errorf("%s is %q at the backend, expected %q", name, got.Get(name), value)
		}
	}
}

func wantPage(t *testing.T, page *harness.Response, status int, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if page.Status != status || !strings.Contains(page.Body, text) {
			t.Fatalf("%s answered %d, expected %d with %q:\n%s", page.URL, page.Status, status, text, page.Body)
		}
	}
}

func TestAProviderSignsInThroughTheGate(t *testing.T) {
	r, p := atProvider(t, true)
	p.Start()
	browser := harness.NewClient(t)
	page := browser.Open(r.Gate + "/play?level=2")
	if page.URL.Host != strings.TrimPrefix(p.Issuer, "http://") {
		t.Fatalf("the browser is at %s (%d), not at the provider:\n%s", page.URL, page.Status, page.Body)
	}
	page = browser.SignInAt(page, "ann")
	if page.URL.String() != r.Gate+"/play?level=2" || page.Status != http.StatusOK {
		t.Fatalf("ended at %s with %d:\n%s", page.URL, page.Status, page.Body)
	}
	r.wantAtBackend(t, browser, map[string]string{
		"X-SSO-User": "ann.acme", "X-SSO-Email": "ann@acme.example", "X-SSO-Groups": "players,staff",
	})
	subject := r.echo(t, browser).Header.Get("X-SSO-Subject")
	again := harness.NewClient(t)
	again.SignInAt(again.Open(r.Gate+"/"), "ann")
	r.wantAtBackend(t, again, map[string]string{"X-SSO-Subject": subject})

	for account, user := range map[string]string{"bob": "bob.acme", "eve": "eve"} {
		browser := harness.NewClient(t)
		browser.SignInAt(browser.Open(r.Gate+"/"), account)
		r.wantAtBackend(t, browser, map[string]string{"X-SSO-User": user, "X-SSO-Email": "", "X-SSO-Groups": ""})
		if got := r.echo(t, browser).Header.Get("X-SSO-Subject"); got == subject {
			t.Errorf("%s has the subject of another", account)
		}
	}
}

// As Keycloak sends them, and at the userinfo endpoint.
func TestGroupsWithinAClaimOpenTheGate(t *testing.T) {
	var p *harness.Provider
	r := start(t, func(c *harness.Caddyfile) {
		p = harness.NewProvider(t, c.Portal+callback)
		p.Accounts = map[string]map[string]any{"ann": {
			"preferred_username": "ann.acme", "realm_access": map[string]any{"roles": []string{"players", "staff"}},
			"resource_access": map[string]any{"account": map[string]any{"roles": []string{"manage-account"}}},
		}}
		p.Settings = map[string]any{"claims": map[string]any{
			"openid": []string{"sub"}, "profile": []string{"preferred_username"}, "email": []string{"email"}, "groups": []string{"realm_access", "resource_access"},
		}}
		c.Options += p.Caddyfile("acme", "scope profile groups", "claim groups realm_access.roles")
		c.Users, c.NoLocal = nil, true
	})
	p.Start()
	browser := harness.NewClient(t)
	browser.SignInAt(browser.Open(r.Gate+"/"), "ann")
	r.wantAtBackend(t, browser, map[string]string{"X-SSO-User": "ann.acme", "X-SSO-Groups": "players,staff"})
}

func TestAProviderStandsBesideThePasswordForm(t *testing.T) {
	r, p := atProvider(t, false)
	p.Start()
	browser := harness.NewClient(t)
	page := browser.Open(r.Gate + "/")
	wantPage(t, page, http.StatusOK, "Continue with Acme Inc.", `type="password"`)
	page = browser.SignInAt(browser.Open(r.Portal+page.Links("/sso/with/acme?")[0]), "ann")
	if page.Status != http.StatusOK {
		t.Fatalf("ended at %s with %d", page.URL, page.Status)
	}
	r.wantAtBackend(t, browser, map[string]string{"X-SSO-User": "ann.acme"})
	if user := r.userAtBackend(t, r.signedIn(t, harness.Demo)); user != harness.Demo.Name {
		t.Errorf("by password %q is signed in", user)
	}
}

func TestWhoCancelsAtTheProviderIsToldAndMayTryAgain(t *testing.T) {
	r, p := atProvider(t, true)
	p.Start()
	browser := harness.NewClient(t)
	page := browser.SignInAt(browser.Open(r.Gate+"/"), "")
	wantPage(t, page, http.StatusForbidden, "You were not signed in", "Signing in with Acme Inc. was cancelled")
	if strings.Contains(page.Body, "did not want to") {
		t.Error("the page repeats what the provider wrote")
	}
	page = browser.SignInAt(browser.Open(r.Portal+page.Links("/sso/sign_in?")[0]), "ann")
	if page.Status != http.StatusOK {
		t.Fatalf("ended at %s with %d", page.URL, page.Status)
	}
	r.wantAtBackend(t, browser, map[string]string{"X-SSO-User": "ann.acme"})
}

// A request to the provider that someone changed on its way, and an answer that
// is another browser's.
func TestClass22AnAnswerToAnotherRequestSignsNobodyIn(t *testing.T) {
	r, p := atProvider(t, false)
	p.Start()
	leave := func(browser *harness.Client) *url.URL {
		page := browser.Open(r.Gate + "/")
		return browser.Fetch(r.Portal + page.Links("/sso/with/acme?")[0]).Location(t)
	}
	nobody := func(browser *harness.Client, page *harness.Response, status int, text string) {
		t.Helper()
		wantPage(t, page, status, text)
		if resp := browser.Fetch(r.Gate + "/"); resp.Status != http.StatusUnauthorized {
			t.Errorf("the gate answers %d", resp.Status)
		}
	}

	browser := harness.NewClient(t)
	to := leave(browser)
	q := to.Query()
	q.Set("nonce", "of-another-sign-in")
	to.RawQuery = q.Encode()
	nobody(browser, browser.SignInAt(browser.Open(to.String()), "ann"), http.StatusBadGateway, "cannot be used")

	browser = harness.NewClient(t)
	to = leave(browser)
	q = to.Query()
	q.Set("state", q.Get("state")[1:])
	to.RawQuery = q.Encode()
	nobody(browser, browser.SignInAt(browser.Open(to.String()), "ann"), http.StatusBadRequest, "does not belong to a sign-in that was begun here")

	// The victim opens the answer to the attacker's sign-in.
	attacker, victim := harness.NewClient(t), harness.NewClient(t)
	theirs := leave(attacker)
	leave(victim)
	nobody(victim, victim.SignInAt(victim.Open(theirs.String()), "eve"), http.StatusBadRequest, "begun in another browser")
}

func TestAProviderMayBeDownAndComeUp(t *testing.T) {
	r, p := atProvider(t, true) // it serves without the provider
	browser := harness.NewClient(t)
	wantPage(t, browser.Open(r.Gate+"/"), http.StatusServiceUnavailable, "Acme Inc. does not answer", "This page tries again by itself in")
	p.Start()
	page := browser.Open(r.Gate + "/")
	for page.Status == http.StatusServiceUnavailable {
		page = browser.Open(r.Gate + "/") // it is asked again after a second
	}
	browser.SignInAt(page, "ann")
	r.wantAtBackend(t, browser, map[string]string{"X-SSO-User": "ann.acme"})

	p.Stop()
	if r.userAtBackend(t, browser) != "ann.acme" {
		t.Error("a provider that is down signed a user out")
	}
	p.Start() // with other keys
	other := harness.NewClient(t)
	other.SignInAt(other.Open(r.Gate+"/"), "bob")
	r.wantAtBackend(t, other, map[string]string{"X-SSO-User": "bob.acme"})
}

// A request that demands a new sign-in gets one at the provider, too, though the
// user has a session at both.
func TestANewSignInIsOneAtTheProvider(t *testing.T) {
	r, p := atProvider(t, true)
	p.Start()
	browser := harness.NewClient(t)
	browser.SignInAt(browser.Open(r.Gate+"/"), "ann")
	authorize := func(prompt string) *harness.Response {
		return browser.Open(r.Portal + "/oauth2/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {"http://" + r.backend.Addr + "/callback"}, "state": {"12345678"},
			"scope": {"openid"}, "code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"}, "prompt": {prompt},
		}.Encode())
	}
	atCallback := func(page *harness.Response) {
		t.Helper()
		if page.URL.Path != "/callback" || page.URL.Query().Get("code") == "" {
			t.Fatalf("ended at %s with %d:\n%s", page.URL, page.Status, page.Body)
		}
	}
	atCallback(authorize("none"))

	page := authorize("login")
	wantPage(t, page, http.StatusOK, "You are signed in as", "asks you to sign in again")
	page = browser.Open(r.Portal + page.Links("/sso/with/acme?")[0])
	if page.URL.Host != strings.TrimPrefix(p.Issuer, "http://") {
		t.Fatalf("the provider asked nothing; the browser is at %s", page.URL)
	}
	atCallback(browser.SignInAt(page, "ann"))

	page = authorize("select_account")
	wantPage(t, page, http.StatusOK, "ann.acme", "Continue to", "Use another account")
	atCallback(browser.Open(r.Portal + page.Links("/oauth2/authorize?")[0]))
}
