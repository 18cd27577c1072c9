package browser

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// ada is of the customer's own provider.
var ada = harness.User{Name: "ada", Email: "ada@acme.example"}

// newCustomer is a licensed world whose account acme has a provider of its own,
// and whose account both has that and the local accounts.
func newCustomer(t *testing.T) (*licensed, *harness.Provider) {
	t.Helper()
	var provider *harness.Provider
	w := newLicensed(t, func(c *harness.Caddyfile, l *harness.License) {
		provider = harness.NewProvider(t, c.Portal+"/sso/callback/acme")
		provider.Accounts = map[string]map[string]any{
			"ada": {"preferred_username": ada.Name, "email": ada.Email, "email_verified": true},
			"bob": {"preferred_username": "bob", "email": "bob@elsewhere.example", "email_verified": true},
		}
		c.Options += provider.Caddyfile("acme", `name "Acme Inc."`)
		l.Accounts = []string{"acme", "both", "strict"}
		l.Lines = `
customer_account acme {
	signin acme
}
customer_account both {
	signin acme local
}
customer_account strict {
	signin acme
	email_domain acme.example
}`
	})
	provider.Start()
	return w, provider
}

// atProvider waits for the provider's page, and signs in there.
func (b *tab) atProvider(p *harness.Provider, account string) {
	b.t.Helper()
	b.until("location.origin === " + quote(p.Issuer) + " && document.querySelector('[name=login]')")
	b.clickOn("document.querySelector('[name=login]')")
	b.insert(account)
	b.click("Sign in at the provider")
}

// answer is what the application's listener got.
func (a *application) answer(t *testing.T) url.Values {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := a.Answer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// activate activates with what came, and holds whom the backend takes the user
// for.
func (w *licensed) activate(t *testing.T, a *application, answer url.Values, u harness.User) {
	t.Helper()
	body := a.Activation(answer.Get("code"), answer.Get("id_token"))
	if _, err := a.Activate(t.Context(), body); err != nil {
		t.Fatalf("activating with %v: %v", answer, err)
	}
	w.activated(t, string(body), u, a.Account)
}

func (w *licensed) activated(t *testing.T, body string, u harness.User, account string) {
	t.Helper()
	got := w.License.Backend.Last(t)
	if string(got.Body) != body {
		t.Errorf("the backend got\n%s, want\n%s", got.Body, body)
	}
	for header, want := range map[string]string{
		"X-SSO-User": u.Name, "X-SSO-Email": u.Email, "X-SSO-License-Product": "demo", "X-SSO-License-Customer-Account": account,
	} {
		if value := got.Header.Get(header); value != want {
			t.Errorf("the backend got %s: %q, want %q", header, value, want)
		}
	}
}

func TestALicenseUserSignsInAtTheCustomersProviderAndActivates(t *testing.T) {
	w, provider := newCustomer(t)
	for _, responseType := range []string{"code", "token"} {
		t.Run("software in Go, "+responseType, func(t *testing.T) {
			b, a := newTab(t), w.application(t)
			a.Account = "acme"
			b.open(a.link(t, responseType))
			b.atProvider(provider, "ada")
			b.sees("You can go back to the application.")
			w.activate(t, a, a.answer(t), ada)
			if strings.Contains(b.url(), "token") {
				t.Errorf("the tokens stay in the address: %s", b.url())
			}
			for _, d := range b.documents {
				if strings.HasPrefix(d.url, w.Portal) && d.status != http.StatusFound && d.status != http.StatusSeeOther &&
					!strings.HasPrefix(d.url, w.Portal+"/sso/callback/acme") {
					t.Errorf("the portal showed a page in between: %d %s", d.status, d.url)
				}
			}
			// Once more, without a question.
			b.open(a.link(t, responseType))
			b.sees("You can go back to the application.")
			w.activate(t, a, a.answer(t), ada)
		})
		t.Run("software in Node, "+responseType, func(t *testing.T) {
			options := w.NodeOptions(w.Portal)
			options.Account, options.ResponseType = "acme", responseType
			node, err := harness.StartNodeApp(t, options)
			if err != nil {
				t.Fatal(err)
			}
			b := newTab(t)
			b.expect("/favicon.ico") // which nobody serves once the software has what it needs
			b.open(node.URL)
			b.atProvider(provider, "ada")
			b.sees("Node has your answer.")
			activation, err := node.Finish()
			if err != nil {
				t.Fatal(err)
			}
			if activation.Status != http.StatusOK || activation.Body != harness.LicenseAnswer {
				t.Fatalf("answered %d: %s", activation.Status, activation.Body)
			}
			w.activated(t, activation.Sent, ada, "acme")
		})
	}
}

func TestALicenseUserChoosesAmongTheMethodsOfTheAccount(t *testing.T) {
	w, provider := newCustomer(t)
	b, a := newTab(t), w.application(t)
	a.Account = "both"
	b.open(a.link(t, "code"))
	b.sees("to continue to Demo CAD", "Continue with Acme Inc.", "Password")
	b.click("Continue with Acme Inc.")
	b.atProvider(provider, "ada")
	b.sees("You can go back to the application.")
	w.activate(t, a, a.answer(t), ada)

	// An account with local users alone: this user is not one of them.
	a.Account = "other"
	b.open(a.link(t, "code"))
	b.sees("You are signed in as ada, but you cannot use this account for Demo CAD.")
	b.seesNot("Continue with")
	b.signIn(demo.Name, demo.Password)
	b.sees("You can go back to the application.")
	w.activate(t, a, a.answer(t), demo)

	// And the same with the accounts exchanged.
	a.Account = "acme"
	b.open(a.link(t, "code"))
	b.sees("You are signed in as demo, but you cannot use this account for Demo CAD.")
	b.seesNot("Password")
	if a.Arrived() {
		t.Error("something arrived at the application")
	}
}

func TestAnAccountOfTheProviderThatIsNotAllowedIsToldSo(t *testing.T) {
	w, provider := newCustomer(t)
	b := newTab(t)
	b.open(w.linkFor(t, "demo", "strict"))
	b.atProvider(provider, "bob")
	b.sees("This account cannot be used for Demo CAD", "you are signed in as bob@elsewhere.example")
	b.look("message-account-of-a-provider-not-allowed")
	b.click("Use another account")
	b.atProvider(provider, "ada")
	b.sees("You can go back to the application.")
}

func TestALinkOfOneUserIsNoUseInAnothersBrowser(t *testing.T) {
	w, provider := newCustomer(t)
	ours, theirs, a := newTab(t), newTab(t), w.application(t)
	theirs.enter(w.linkFor(t, "demo", "other"))

	a.Account = "acme"
	link := a.link(t, "code")
	theirs.open(link)
	theirs.sees("You are signed in as demo, but you cannot use this account for Demo CAD.")
	ours.open(link)
	ours.atProvider(provider, "ada")
	ours.sees("You can go back to the application.")
	w.activate(t, a, a.answer(t), ada)
	theirs.click("Continue with Acme Inc.")
	theirs.sees("This link cannot be used any more")
	if a.Arrived() {
		t.Error("something arrived at the application")
	}
}

func TestAnApplicationWithASchemeOfItsOwnHasAPageWithTheLink(t *testing.T) {
	w := newLicensed(t, withProducts(t))
	b := newTab(t)
	b.expect("acme-app:") // nothing on this machine opens it
	b.open(w.linkFor(t, "native", "other"))
	b.signIn(demo.Name, demo.Password)
	b.sees("You’re signed in", "Return to Demo CAD")
	link, err := url.Parse(eval[string](b, "[...document.querySelectorAll('a')].find(a => a.innerText.includes('Return')).href"))
	if err != nil {
		t.Fatal(err)
	}
	a := w.application(t)
	a.Product = "native"
	body := a.Activation(link.Query().Get("code"), "")
	if _, err := a.Activate(t.Context(), body); link.Scheme != "acme-app" || err != nil {
		t.Errorf("activating with %s: %v", link, err)
	}
}

func TestSomeoneWithoutASeatEndsAnotherSessionAndGoesOn(t *testing.T) {
	w := newLicensed(t, withProducts(t))
	first, second := newTab(t), newTab(t)
	first.enter(w.linkFor(t, "seated", "other"))
	a := w.application(t)
	a.Product = "seated"
	second.open(a.link(t, "code"))
	second.signIn(demo.Name, demo.Password)
	second.sees("No seat left", "You can use Demo CAD in 1 place at a time.", "uses a seat")
	second.seesNot("Continue to Demo CAD")
	second.clickOn("[...document.querySelectorAll('li')].find(li => li.innerText.includes('uses a seat')).querySelector('button')")
	second.sees("Continue to Demo CAD")
	second.seesNot("uses a seat")
	second.click("Continue to Demo CAD")
	second.sees("You can go back to the application.")
	if code := a.answer(t).Get("code"); code == "" {
		t.Error("no code came")
	}
	first.open(w.Portal + "/sso/sessions")
	first.path(w.Portal + "/sso/sign_in")
}
