package browser

import (
	"fmt"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// A window is restored with all its tabs, at whose site the session is over or
// never was, while the portal's goes on: nobody has to do anything, and no tab
// takes the others for a loop.
func TestAWindowOfThirtyTabsIsRestored(t *testing.T) {
	w := withTLS(t)
	for name, prepare := range map[string]func(b *tab){
		"at a new site":             func(*tab) {},
		"with a cookie from before": func(b *tab) { b.begin(w); b.signOutElsewhere(w.portal + "/sso/sign_out") },
	} {
		for pages, address := range map[string]func(int) string{
			"of one page":        func(int) string { return w.game + "/same" },
			"of different pages": func(i int) string { return fmt.Sprintf("%s/tab?n=%d", w.game, i) },
		} {
			t.Run(name+", "+pages, func(t *testing.T) {
				b := newTab(t)
				prepare(b)
				b.open(w.portal + "/sso/sign_in")
				b.signIn(demo.Name, demo.Password)
				b.at(w.portal + "/sso/account")
				b.profile.restores(30, address)
			})
		}
	}
}

// restores opens tabs at once, and waits until each is at its page.
func (p *profile) restores(n int, address func(int) string) {
	p.t.Helper()
	tabs := make([]*tab, n)
	for i := range tabs {
		tabs[i] = p.tab()
	}
	var all sync.WaitGroup
	for i, b := range tabs {
		all.Go(func() {
			if _, err := chromedp.Call(b.ctx, page.Navigate, page.NavigateParams{URL: address(i)}); err != nil {
				p.t.Error(err)
			}
		})
	}
	all.Wait()
	for i, b := range tabs {
		b.at(address(i))
		b.sees("Hello, demo")
	}
}
