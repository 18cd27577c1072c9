package browser

import (
	"os"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// tryPage is the page of docs/popup.md, with the portal in it changed, and the
// audience where the client has one.
func tryPage(t *testing.T, portal, audience string) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/popup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(doc), "```html\n")
	source, _, ends := strings.Cut(rest, "```")
	const example, own = `"https://login.example.com"`, "audience = client_id"
	if !begins || !ends || strings.Count(source, example) != 1 || strings.Count(source, own) != 1 {
		t.Fatal("docs/popup.md has no page to try")
	}
	if audience != "" {
		source = strings.Replace(source, own, "audience = "+quote(audience), 1)
	}
	return strings.Replace(source, example, quote(portal), 1)
}

// withPageOfItsOwn is a portal and, on a server that goes on without it, the
// page to try, of a client that names no audience.
func withPageOfItsOwn(t *testing.T) *world {
	t.Helper()
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	w := &world{portal: c.Portal, backend: newBackend(t)}
	_, port, _ := strings.Cut(w.backend.addr, ":")
	w.partner = "http://localhost:" + port
	c.Clients = append(c.Clients, harness.Application{ID: "6", Lines: "name Partner\npublic\nredirect_uri " + w.partner + "/try\nscope email"})
	w.Server = harness.Start(t, c.String())
	w.backend.try = tryPage(t, w.portal, "")
	return w
}

func TestThePageOfTheDocsSignsInInAWindow(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		w.backend.try = tryPage(t, w.portal, "game")
		b := newTab(t)
		b.open(w.partner + "/try")
		window := b.opens(func() { b.click("Sign in") })
		window.sees("to continue to Partner")
		b.sees("Finish in the window.")
		window.signIn(demo.Name, demo.Password)
		b.sees("Hello, demo")
		window.closed()

		// Now there is a session: the window only ends.
		b.open(w.partner + "/try")
		b.click("Sign in")
		b.sees("Hello, demo")
	})
}

func TestThePageOfTheDocsSaysThatItsWindowWasClosed(t *testing.T) {
	w := withTLS(t)
	w.backend.try = tryPage(t, w.portal, "game")
	b := newTab(t)
	b.open(w.partner + "/try")
	window := b.opens(func() { b.click("Sign in") })
	window.sees("to continue to Partner")
	window.close()
	b.sees("You closed the window. Sign in to open it again.")
	window = b.opens(func() { b.click("Sign in") })
	window.signIn(demo.Name, demo.Password)
	b.sees("Hello, demo")
	window.closed()
}

func TestThePageOfTheDocsSignsInByItselfWhereWindowsAreBlocked(t *testing.T) {
	w := withTLS(t)
	w.backend.try = tryPage(t, w.portal, "game")
	b := newTab(t)
	b.beforeScripts("window.open = () => null")
	b.open(w.partner + "/try")
	b.click("Sign in")
	b.path(w.portal + "/sso/sign_in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.partner + "/try")
	b.sees("Hello, demo")
}

func TestThePageOfTheDocsNeedsNoAudienceAndMindsNoQuery(t *testing.T) {
	w := withPageOfItsOwn(t)
	b := newTab(t)
	b.open(w.partner + "/try?utm_source=x&code=7")
	window := b.opens(func() { b.click("Sign in") })
	window.sees("to continue to Partner")
	b.sees("Finish in the window.")
	window.signIn(demo.Name, demo.Password)
	b.sees("Hello, demo")
	window.closed()
}

func TestThePageOfTheDocsSaysWhatToDoWhenSigningInFails(t *testing.T) {
	w := withPageOfItsOwn(t)
	b := newTab(t)
	callback := func(state string) { b.open(w.partner + "/try?code=c&state=" + state) }
	state := func() string { return eval[string](b, "JSON.parse(sessionStorage.signIn).state") }
	again := " Load this page again to start over."

	callback("another-state")
	b.sees("Not an answer to this page." + again)
	b.open(w.partner + "/try")
	b.sees("Sign in")
	b.expect("/api/oauth2/token")
	callback(state())
	b.sees("The code is invalid, expired, used already, or was issued for another client or redirect_uri." + again)

	b.open(w.partner + "/try")
	b.sees("Sign in")
	w.Stop()
	callback(state())
	b.sees("The portal does not answer." + again)
	b.seesNot("One moment.")
}
