package browser

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// scripts turns JavaScript on and off in a tab.
func (b *tab) scripts(on bool) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.t.Fatal(err)
	}
}

func TestWithoutJavaScriptTheWholeFlowWorks(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.scripts(false)
		b.open(w.game + "/play?level=3")
		b.sees("to continue to Demo game")
		b.seesNot("Show") // what only a script could do
		b.signIn(demo.Name, "wrong")
		b.sees("User name or password is wrong")
		b.signIn(demo.Name, demo.Password)
		b.at(w.game + "/play?level=3")
		b.sees("Hello, demo")
		b.click("Sign out")
		b.sees("You’re signed out")
	})
}

func TestWithoutJavaScriptThePopupPageIsAnOrdinaryLink(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.scripts(false)
	b.open(w.club + "/floor?table=7")
	b.sees("Sign in to Night club")
	b.seesNot("Sign in without a new window")
	b.click("Sign in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.club + "/floor?table=7")
	b.sees("Hello, demo")
}

func TestWithoutJavaScriptTheWidgetLeadsToTheCallback(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.scripts(false)
	b.open(popupAuth(w))
	b.signIn(demo.Name, demo.Password)
	b.path(w.portal + "/sso/widget")
	b.sees("You’re signed in", "Continue to Partner.")
	b.click("Continue")
	b.path(w.partner + "/oauth2/callback")
}

func TestKeyboardAloneSignsInWithVisibleFocus(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.open(w.game + "/play")
	b.path(w.portal + "/sso/sign_in")
	b.until("document.activeElement.id === 'username'")
	b.insert(demo.Name)
	for _, id := range []string{"password", "reveal"} {
		b.press(kb.Tab)
		b.until("document.activeElement.id === " + quote(id))
		b.focusShows()
	}
	b.press(kb.Tab)
	b.until("document.activeElement.type === 'submit'")
	b.focusShows()

	// The button beside the password shows it, and does not send the form.
	b.do("reveal.focus()")
	b.press(" ")
	b.until("password.type === 'text' && document.activeElement.id === 'password'")
	b.insert(demo.Password)
	b.press(kb.Enter)
	b.at(w.game + "/play")
	b.sees("Hello, demo")
}

// focusShows fails unless the focused element is drawn differently.
func (b *tab) focusShows() {
	b.t.Helper()
	b.until("(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))")
}
