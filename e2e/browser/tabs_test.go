package browser

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

const manyTabs = 20

func TestTwentyTabsAllFinishOnTheirOwnPage(t *testing.T) {
	w := withTLS(t)
	p := newProfile(t)
	tabs := make([]*tab, manyTabs)
	for i := range tabs {
		tabs[i] = p.tab()
		tabs[i].open(fmt.Sprintf("%s/tab?n=%d", w.game, i))
		tabs[i].path(w.portal + "/sso/sign_in")
	}
	for i, b := range tabs {
		b.signIn(demo.Name, demo.Password)
		b.at(fmt.Sprintf("%s/tab?n=%d", w.game, i))
		b.sees("Hello, demo")
	}
	if n := len(p.cookies()); n != 4 {
		t.Errorf("twenty tabs left %d cookies", n)
	}
}

// A browser that restores its tabs opens all of them at once, when it has no
// cookie yet. All forms are sent at once, too, so that each sign-in replaces
// the session that another has just begun.
func TestTwentyTabsAtOnceOnAFreshProfileAllFinish(t *testing.T) {
	w := onLoopback(t)
	p := newProfile(t)
	tabs := make([]*tab, manyTabs)
	for i := range tabs {
		tabs[i] = p.tab()
	}
	var all sync.WaitGroup
	for i, b := range tabs {
		all.Go(func() { b.open(fmt.Sprintf("%s/tab?n=%d", w.game, i)) })
	}
	all.Wait()
	for _, b := range tabs {
		b.fill("username", demo.Name)
		b.fill("password", demo.Password)
	}
	for _, b := range tabs {
		b.do("document.querySelector('form').requestSubmit()")
	}
	for i, b := range tabs {
		b.finish(fmt.Sprintf("%s/tab?n=%d", w.game, i))
		b.sees("Hello, demo")
	}
}

// finish does what the pages on the way to an address ask for.
func (b *tab) finish(url string) {
	b.t.Helper()
	for range 3 {
		b.until("document.readyState === 'complete' && (location.href === " + quote(url) + " || document.getElementById('problem') || document.body.innerText.includes('You’re signed in'))")
		switch text := b.text(); {
		case b.url() == url:
			return
		case strings.Contains(text, "You’re signed in"):
			b.click("Continue to Demo game")
		default:
			// Its page was bound to a cookie that another tab replaced.
			b.sees("Your cookies changed since this page was opened", "Enter your password again.")
			b.do("document.getElementById('problem').remove()")
			b.fill("password", demo.Password)
			b.click("Sign in")
		}
	}
	b.at(url)
}
