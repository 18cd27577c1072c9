package browser

import (
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

func TestWithoutTheCookieOfThePageSigningInSaysWhatToDoAndItsLinkWorks(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.game + "/play?level=3")
		b.path(w.portal + "/sso/sign_in")
		b.profile.clearCookies()
		b.signIn(demo.Name, demo.Password)
		b.sees("Your browser blocks cookies", "Allow cookies for this site, then start again.")
		b.status(http.StatusBadRequest)
		b.click("Start again")
		b.sees("to continue to Demo game")
		b.signIn(demo.Name, demo.Password)
		b.at(w.game + "/play?level=3")
		b.sees("Hello, demo")
	})
}

// The page of the first visit is bound to a cookie that the second replaced.
func TestWithTheCookieOfAnotherVisitSigningInStillFinishes(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.game + "/play?level=3")
	b.path(w.portal + "/sso/sign_in")
	b.profile.clearCookies()
	other := b.profile.tab()
	other.open(w.game + "/other")
	other.path(w.portal + "/sso/sign_in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.game + "/play?level=3")
	b.sees("Hello, demo")
}

func TestCookiesOfTheSiteDeletedDuringSigningInCostNothing(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.game + "/play?level=3")
	b.path(w.portal + "/sso/sign_in")
	for _, c := range b.profile.cookies() {
		if c.Domain == "game.site.test" {
			if _, err := chromedp.Call(b.ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: c.Name, Domain: c.Domain, Path: c.Path}); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.signIn(demo.Name, demo.Password)
	b.at(w.game + "/play?level=3")
	b.sees("Hello, demo")
}

// A browser that keeps no cookie of a site must not be sent round for ever.
func TestASiteWhoseCookiesAreBlockedEndsAtAPageThatSaysSo(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.portal + "/sso/sign_in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.portal + "/sso/account")
	b.blockCookies(w.game)
	b.open(w.game + "/play")
	b.sees("Too many redirects", "Allow cookies for this site", "Try again")
	b.status(http.StatusBadRequest)
	if n := len(b.trail()); n > 14 {
		t.Errorf("it took %d steps", n)
	}
	if n := w.backend.count(w.game, "/play"); n != 0 {
		t.Errorf("%d requests reached the backend", n)
	}
	if lines := w.Log.Containing(`"setting":"redirect_uri"`); len(lines) != 1 {
		t.Errorf("%d lines of the log name the setting", len(lines))
	}
}

func TestAChangedFormSaysWhatToDo(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.open(w.game + "/play")
	b.path(w.portal + "/sso/sign_in")
	b.do("document.querySelector('[name=transaction]').value = 'changed'")
	b.signIn(demo.Name, demo.Password)
	b.status(http.StatusBadRequest)
	b.sees("This form is no longer valid", "Start again from the sign-in page.")
	b.click("Start again")
	b.path(w.portal + "/sso/sign_in")
	b.sees("to continue to Demo game")
}
