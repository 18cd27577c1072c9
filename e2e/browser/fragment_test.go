package browser

import "testing"

func TestAFragmentSurvivesSigningIn(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		const page = "/play?level=3#part/2?x=1&y=%C3%A9"
		for name, test := range map[string]struct {
			start  string
			signIn func(*tab)
		}{
			"on the hosted page, at the second attempt": {w.game + page, func(b *tab) {
				b.signIn(demo.Name, "wrong")
				b.sees("User name or password is wrong")
				b.signIn(demo.Name, demo.Password)
			}},
			"on the portal's own origin": {w.portal + "/private" + page, func(b *tab) {
				b.signIn(demo.Name, demo.Password)
			}},
			"with a session already": {w.shop + "/members" + page, func(*tab) {}},
			"in a window": {w.club + page, func(b *tab) {
				window := b.opens(func() { b.click("Sign in") })
				window.signIn(demo.Name, demo.Password)
				b.sees("Hello, demo")
			}},
			"without a window": {w.club + page, func(b *tab) {
				b.click("Sign in without a new window")
				b.signIn(demo.Name, demo.Password)
			}},
			"where windows are blocked": {w.club + page, func(b *tab) {
				b.do("window.open = () => null")
				b.click("Sign in")
				b.signIn(demo.Name, demo.Password)
			}},
			"with another account": {w.staff + page, func(b *tab) {
				b.signIn(demo.Name, demo.Password)
				b.sees("You don’t have access to Staff room")
				b.click("Use another account")
				b.signIn(root.Name, root.Password)
			}},
		} {
			t.Run(name, func(t *testing.T) {
				b := newTab(t)
				if name == "with a session already" {
					b.begin(w)
				}
				b.open(test.start)
				test.signIn(b)
				b.at(test.start)
				b.sees("Hello, ")
			})
		}
	})
}

// The script that carries a fragment leads to the same place as the refresh.
func TestAFragmentGoesByThePageInBetweenWithoutBeingAskedForTwice(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.open(w.game + "/play#part")
	b.signIn(demo.Name, demo.Password)
	b.at(w.game + "/play#part")
	callbacks := 0
	for _, line := range b.trail() {
		if line == "302 "+w.game+"/oauth2/callback" {
			callbacks++
		}
	}
	if n := w.backend.count(w.game, "/play"); n != 1 || callbacks != 1 {
		t.Errorf("the page was asked for %d times, the callback %d times", n, callbacks)
	}
}
