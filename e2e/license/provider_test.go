package license

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// The users of the customer's own provider. Anybody may sign in there as any of
// them.
var providerUsers = map[string]map[string]any{
	"ada":   {"preferred_username": "ada", "email": "ada@acme.example", "email_verified": true, "roles": []string{"engineers"}},
	"bob":   {"preferred_username": "bob", "email": "bob@elsewhere.example", "email_verified": true},
	"carol": {"preferred_username": "carol", "email": "carol@acme.example", "email_verified": false},
	"dave":  {"preferred_username": "dave", "email": "dave@elsewhere.example@acme.example", "email_verified": true},
	"eve":   {"preferred_username": "demo", "email": "demo@example.com", "email_verified": true}, // who uses the name of another user
	"frank": {"preferred_username": "frank"},
}

var ada = harness.User{Name: "ada", Email: "ada@acme.example"}

// withProvider has the customer account acme, whose users sign in at a provider,
// and the account both, whose users have two sign-in methods.
func withProvider(t *testing.T, at **harness.Provider) func(*harness.Caddyfile, *harness.License) {
	t.Helper()
	return func(c *harness.Caddyfile, l *harness.License) {
		*at = harness.NewProvider(t, c.Portal+"/sso/callback/acme")
		(*at).Accounts = providerUsers
		c.Options += (*at).Caddyfile("acme", `name "Acme Inc."`, "claim groups roles", "scope profile email groups")
		l.Accounts = []string{"acme", "strict", "both"}
		l.Lines = `
customer_account acme {
	signin acme
}
customer_account strict {
	signin acme
	email_domain acme.example
}
customer_account both {
	signin acme local
}`
	}
}

// atProvider opens a link, which has to lead to the provider: straight, or, where
// someone is signed in who is not of the account, by a page that says so.
func (a *app) atProvider(t *testing.T, p *harness.Provider, link string) *harness.Response {
	t.Helper()
	page := a.browser.Open(link)
	if strings.Contains(page.Text(), "but you cannot use this account for Demo CAD") {
		on, err := page.LinkSaying("Continue with Acme Inc.")
		if err != nil {
			t.Fatal(err)
		}
		page = a.browser.Open(on)
	}
	if !strings.HasPrefix(page.URL.String(), p.Issuer+"/") {
		t.Fatalf("the link led to %s with %d: %s", page.URL, page.Status, page.Text())
	}
	return page
}

// switched signs in at the provider where it remembers another user, whom it signs
// out by a page whose script sends a form.
func (a *app) switched(t *testing.T, page *harness.Response, account string) *harness.Response {
	t.Helper()
	form, err := a.browser.SignInAt(page, account).Form("xsrf")
	if err == nil {
		page, err = a.browser.Submit(form)
	}
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestTheCustomersOwnProviderSignsItsUsersIn(t *testing.T) {
	t.Parallel()
	var provider *harness.Provider
	w := start(t, withProvider(t, &provider))
	provider.Start()
	for _, responseType := range []string{"code", "token"} {
		a := w.app(t, harness.NewClient(t))
		a.Account = "acme"
		page := a.browser.SignInAt(a.atProvider(t, provider, a.link(t, responseType)), "ada")
		answer := a.arrived(t, page)
		got := w.wantActivated(t, a, a.Activation(answer.Get("code"), answer.Get("id_token")), ada)
		if groups := got.Header.Get("X-SSO-Groups"); groups != "engineers" {
			t.Errorf("the backend got the groups %q", groups)
		}
		for _, step := range page.Seen {
			if strings.HasPrefix(step, w.Portal+"/sso/sign_in?") {
				t.Errorf("a page stood in between: %s", step)
			}
		}
		// Now nobody is asked any more.
		answer = a.again(t, responseType)
		w.wantActivated(t, a, a.Activation(answer.Get("code"), answer.Get("id_token")), ada)
	}
}

func TestClass17OneCustomersUserNeverGetsAnothersCode(t *testing.T) {
	t.Parallel()
	var provider *harness.Provider
	w := start(t, withProvider(t, &provider))
	provider.Start()
	a := w.app(t, harness.NewClient(t))

	t.Run("in one browser", func(t *testing.T) {
		a.code(t, harness.Demo) // of the account other
		a.Account = "acme"
		body := func(p *harness.Response) []byte { return a.Activation(codeIn(t, a.arrived(t, p)), "") }
		w.wantActivated(t, a, body(a.browser.SignInAt(a.atProvider(t, provider, a.link(t, "code")), "ada")), ada)
		a.Account = "other" // for which the session of before is gone, and this one is none
		if _, err := a.browser.Open(a.link(t, "code")).Form("password"); err != nil || a.Arrived() {
			t.Errorf("a user of acme opened a link of other: %v", err)
		}
		w.wantActivated(t, a, a.Activation(a.code(t, harness.Admin), ""), harness.Admin)
	})
	t.Run("in two browsers", func(t *testing.T) {
		// The link of one is opened by the other, who is signed in.
		a.Account = "acme"
		other := w.app(t, harness.NewClient(t))
		other.code(t, harness.Demo)
		link := a.link(t, "code")
		a.atProvider(t, provider, link)
		another := &app{Client: a.Client, Listener: a.Listener, browser: other.browser}
		another.atProvider(t, provider, link)
		if a.Arrived() {
			t.Error("something arrived")
		}
	})
	t.Run("by the provider's page of another browser", func(t *testing.T) {
		a.Account = "acme"
		victim := harness.NewClient(t)
		a.browser = harness.NewClient(t)
		form, err := a.atProvider(t, provider, a.link(t, "code")).Form("login")
		if err != nil {
			t.Fatal(err)
		}
		// What the provider answers is brought to the portal by another browser.
		form.Values.Set("login", "ada")
		back, err := a.browser.StopAt(form, w.Portal+"/sso/callback/")
		if err != nil {
			t.Fatal(err)
		}
		victim.Open(w.Portal + "/sso/sign_in") // so that it has a cookie, but of its own
		page := victim.Open(back)
		a.wantPage(t, page, w.Portal, http.StatusBadRequest, "It was begun in another browser")
		if account := victim.Open(w.Portal + "/sso/account"); account.URL.Path == "/sso/account" {
			t.Errorf("the other browser is signed in: %s", account.Text())
		}
	})
	t.Run("nor the name of a local user", func(t *testing.T) {
		eve := w.app(t, harness.NewClient(t))
		eve.Account = "acme"
		answer := eve.arrived(t, eve.browser.SignInAt(eve.atProvider(t, provider, eve.link(t, "code")), "eve"))
		if _, err := eve.Activate(t.Context(), eve.Activation(codeIn(t, answer), "")); err != nil {
			t.Fatal(err)
		}
		if user := w.backend.Last(t).Header.Get("X-SSO-User"); user == harness.Demo.Name {
			t.Errorf("a user of acme reached the backend as the local user %s", user)
		}
	})
}

func TestClass20OnlyAVerifiedAddressOfTheDomainCounts(t *testing.T) {
	t.Parallel()
	var provider *harness.Provider
	w := start(t, withProvider(t, &provider))
	provider.Start()
	for name, account := range map[string]string{
		"another domain": "bob", "one that nobody verified": "carol", "two @": "dave", "no address": "frank",
	} {
		t.Run(name, func(t *testing.T) {
			a := w.app(t, harness.NewClient(t))
			a.Account = "strict"
			page := a.browser.SignInAt(a.atProvider(t, provider, a.link(t, "code")), account)
			a.wantPage(t, page, w.Portal, http.StatusForbidden, "This account cannot be used for Demo CAD")
			if account := a.browser.Open(w.Portal + "/sso/account"); account.URL.Path == "/sso/account" {
				t.Errorf("the user is signed in: %s", account.Text())
			}
			// The provider remembers this user, and is asked to offer another.
			other, err := page.LinkSaying("Use another account")
			if err != nil {
				t.Fatal(err)
			}
			answer := a.arrived(t, a.switched(t, a.atProvider(t, provider, other), "ada"))
			w.wantActivated(t, a, a.Activation(codeIn(t, answer), ""), ada)
		})
	}
}

func TestAnAccountWithTwoMethodsHasAPageWithThoseAlone(t *testing.T) {
	t.Parallel()
	var provider *harness.Provider
	w := start(t, withProvider(t, &provider))
	provider.Start()
	a := w.app(t, harness.NewClient(t))
	a.Account = "both"
	page := a.browser.Open(a.link(t, "code"))
	if _, err := page.Form("password"); err != nil {
		t.Error(err)
	}
	to, err := page.LinkSaying("Continue with Acme Inc.")
	if err != nil {
		t.Fatal(err)
	}
	answer := a.arrived(t, a.browser.SignInAt(a.atProvider(t, provider, to), "ada"))
	w.wantActivated(t, a, a.Activation(codeIn(t, answer), ""), ada)
	// The same account by its other sign-in method, in another browser.
	b := w.app(t, harness.NewClient(t))
	b.Account = "both"
	w.wantActivated(t, b, b.Activation(b.code(t, harness.Demo), ""), harness.Demo)
	// The page of an account with local users alone has no button.
	b.Account, b.browser = "other", harness.NewClient(t)
	if text := b.browser.Open(b.link(t, "code")).Text(); strings.Contains(text, "Continue with") {
		t.Errorf("the page of the account other offers another's provider: %s", text)
	}
}

func TestAProviderThatIsDownKeepsItsUsersWaitingAndNobodyElse(t *testing.T) {
	t.Parallel()
	var provider *harness.Provider
	w := start(t, withProvider(t, &provider)) // which starts without it
	local := w.app(t, harness.NewClient(t))
	local.code(t, harness.Demo)

	a := w.app(t, harness.NewClient(t))
	a.Account = "acme"
	page := a.browser.Open(a.link(t, "code"))
	a.wantPage(t, page, w.Portal, http.StatusServiceUnavailable, "Acme Inc. does not answer")
	again, err := page.LinkSaying("Try again now")
	if err != nil {
		t.Fatal(err)
	}
	provider.Start()
	harness.Eventually(t, "the provider is asked again", func() bool {
		page = a.browser.Open(again)
		return strings.HasPrefix(page.URL.String(), provider.Issuer+"/")
	})
	answer := a.arrived(t, a.browser.SignInAt(page, "ada"))
	w.wantActivated(t, a, a.Activation(codeIn(t, answer), ""), ada)
}
