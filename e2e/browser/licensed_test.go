package browser

import (
	"fmt"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/e2e/licenseclient"
)

// A licensed world is a portal with a License API, a gate before the license
// backend, and an ordinary one.
type licensed struct {
	*harness.Caddyfile
	*harness.License
	server *harness.Server
}

func newLicensed(t *testing.T, vary ...func(*harness.Caddyfile, *harness.License)) *licensed {
	t.Helper()
	w := &licensed{Caddyfile: harness.Standard(t, harness.NewBackend(t).Addr), License: harness.WithLicense(t)}
	w.Options += "brand {\nname \"Demo studio\"\n}\n"
	for _, v := range vary {
		v(w.Caddyfile, w.License)
	}
	w.Apply(w.Caddyfile)
	w.server = harness.Start(t, w.Caddyfile.String())
	return w
}

// An application is licensed software in Go that waits for its user's browser.
type application struct {
	*licenseclient.Client
	*licenseclient.Listener
}

func (w *licensed) application(t *testing.T) *application {
	t.Helper()
	a := &application{Client: w.App(w.Portal, harness.NewClient(t).HTTP())}
	if err := a.Trust(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	if a.Listener, err = licenseclient.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// link asks where to sign in.
func (a *application) link(t *testing.T, responseType string) string {
	t.Helper()
	link, err := a.SSOURL(t.Context(), responseType, a.RedirectURI)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// linkFor makes an application of a product and a customer account, and returns
// its link.
func (w *licensed) linkFor(t *testing.T, product, account string) string {
	t.Helper()
	a := w.application(t)
	a.Product, a.Account = product, account
	if product == "native" {
		a.RedirectURI = "" // its only one
	}
	return a.link(t, "code")
}

// withProducts has an account or a product for every page that people may see.
func withProducts(t *testing.T) func(*harness.Caddyfile, *harness.License) {
	return func(_ *harness.Caddyfile, l *harness.License) {
		l.Accounts = []string{"strict"}
		l.Lines = fmt.Sprintf(`
customer_account strict {
	signin local
	email_domain acme.example
}
product seated {
	client 10
	redirect_uri http://localhost
	customer_account other
	seats 1 deny
}
product native {
	client 10
	redirect_uri acme-app:/callback
	customer_account other
}
product unready {
	client 10
	redirect_uri http://localhost
	customer_account other
	provision http://localhost:%d/users a-secret-of-the-license-users-backend
}
`, harness.Port(t))
	}
}

func TestEveryPageOfALicenseUserIsAccessibleInBothThemesAndAtBothWidths(t *testing.T) {
	w := newLicensed(t, withProducts(t))
	for name, visit := range map[string]func(*tab){
		"sign-in-no-account-of-it": func(b *tab) {
			b.enter(w.linkFor(t, "demo", "other"))
			b.open(w.linkFor(t, "demo", "strict"))
			b.sees("You are signed in as demo, but you cannot use this account for Demo CAD.")
		},
		"message-account-not-allowed": func(b *tab) {
			b.open(w.linkFor(t, "demo", "strict"))
			b.signIn(demo.Name, demo.Password)
			b.sees("This account cannot be used for Demo CAD")
		},
		"message-link-spent": func(b *tab) {
			link := w.linkFor(t, "demo", "other")
			b.enter(link)
			b.open(link)
			b.sees("This link cannot be used any more")
		},
		"message-link-edited": func(b *tab) {
			b.open(w.linkFor(t, "demo", "other") + "x")
			b.sees("The link was changed on its way")
		},
		"message-license-not-ready": func(b *tab) {
			b.open(w.linkFor(t, "unready", "other"))
			b.signIn(demo.Name, demo.Password)
			b.sees("Your license is not ready yet")
		},
		"application": func(b *tab) {
			b.expect("acme-app:") // nothing on this machine opens it
			b.open(w.linkFor(t, "native", "other"))
			b.signIn(demo.Name, demo.Password)
			b.sees("You’re signed in", "Return to Demo CAD")
		},
		"sessions": func(b *tab) {
			b.enter(w.linkFor(t, "demo", "other"))
			b.open(w.Portal + "/sso/sessions")
			b.sees("Where you are signed in", "this browser")
		},
		"sessions-no-seat": func(b *tab) {
			harness.NewClient(t).SignIn(w.linkFor(t, "seated", "other"), root)
			b.open(w.linkFor(t, "seated", "other"))
			b.signIn(root.Name, root.Password)
			b.sees("No seat left", "You can use Demo CAD in 1 place at a time.", "uses a seat")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			visit(b)
			b.look(name)
		})
	}
}

// enter signs in by a link.
func (b *tab) enter(link string) {
	b.t.Helper()
	b.open(link)
	b.signIn(demo.Name, demo.Password)
	b.sees("You can go back to the application.")
}
