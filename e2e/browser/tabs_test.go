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
	if n := len(p.cookies()); n != 5 {
		t.Errorf("twenty tabs left %d cookies", n)
	}
}

// A page that is still loading when its session ends must not become an error.
func TestAPageThatLoadsWhileAnotherTabSignsInAgainIsLoadedAgain(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.begin(w)
	other := b.profile.tab()
	other.open(w.portal + "/sso/sign_in?switch=1")
	other.sees("You are signed in as demo.")
	b.do("location.href = " + quote(w.game+"/slow?n=1"))
	b.wait("the request to reach the backend", func() bool { return w.backend.count(w.game, "/slow") == 1 })
	other.signIn(root.Name, root.Password)
	other.at(w.portal + "/sso/account")
	b.at(w.game + "/slow?n=1")
	b.sees("Hello, root")
}

func TestAPageThatLoadsWhileAnotherTabSignsOutAsksToSignIn(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.begin(w)
	other := b.profile.tab()
	other.open(w.portal + "/sso/sign_out")
	b.do("location.href = " + quote(w.game+"/slow?n=1"))
	b.wait("the request to reach the backend", func() bool { return w.backend.count(w.game, "/slow") == 1 })
	other.click("Sign out")
	other.sees("You’re signed out")
	b.path(w.portal + "/sso/sign_in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.game + "/slow?n=1")
	b.sees("Hello, demo")
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

// finish does what a person does in a tab that found the session replaced by
// another's: it goes on, or signs in once more. None of them is an error page.
func (b *tab) finish(url string) {
	b.t.Helper()
	b.until("document.readyState === 'complete' && (location.href === " + quote(url) + " || document.body.innerText.includes('Continue to Demo game') || document.getElementById('password')?.value === '')")
	switch text := b.text(); {
	case b.url() == url:
	case strings.Contains(text, "Continue to Demo game"):
		b.click("Continue to Demo game")
	default:
		b.signIn(demo.Name, demo.Password)
	}
	b.at(url)
}
