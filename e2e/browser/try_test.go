package browser

import (
	"os"
	"strings"
	"testing"
)

// tryPage is the page of docs/popup.md, with only the portal in it changed.
func tryPage(t *testing.T, portal string) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/popup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(doc), "```html\n")
	source, _, ends := strings.Cut(rest, "```")
	const example = `"https://login.example.com"`
	if !begins || !ends || strings.Count(source, example) != 1 {
		t.Fatal("docs/popup.md has no page to try")
	}
	return strings.Replace(source, example, quote(portal), 1)
}

func TestThePageOfTheDocsSignsInInAWindow(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		w.backend.try = tryPage(t, w.portal)
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
	w.backend.try = tryPage(t, w.portal)
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
	w.backend.try = tryPage(t, w.portal)
	b := newTab(t)
	b.beforeScripts("window.open = () => null")
	b.open(w.partner + "/try")
	b.click("Sign in")
	b.path(w.portal + "/sso/sign_in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.partner + "/try")
	b.sees("Hello, demo")
}
