package browser

import (
	"net/http"
	"testing"
)

func TestSomeoneWhoIsSignedInCanGoOnSwitchAndSignOut(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.portal + "/sso/account")
	b.path(w.portal + "/sso/sign_in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.portal + "/sso/account")
	b.sees("You’re signed in", demo.Name, demo.Email, "Use another account", "Sign out")

	b.open(w.game + "/play")
	b.at(w.game + "/play")
	b.sees("Hello, demo")

	b.open(w.portal + "/sso/sign_in")
	b.sees("You’re signed in", demo.Name)
	b.click("Use another account")
	b.sees("You are signed in as demo.", "Sign in below to use another account.")
	b.signIn(root.Name, "wrong")
	b.sees("User name or password is wrong", "You are signed in as demo.")
	b.signIn(root.Name, root.Password)
	b.at(w.portal + "/sso/account")
	b.sees(root.Name, root.Email)

	b.open(w.game + "/play?again")
	b.at(w.game + "/play?again")
	b.sees("Hello, root")
	if got := w.backend.saw(t, w.game, "/play?again").Header.Get("X-SSO-User"); got != root.Name {
		t.Errorf("the backend saw %q", got)
	}

	b.open(w.portal + "/sso/sign_out")
	b.sees("Sign out?", root.Name, "Stay signed in")
	b.click("Stay signed in")
	b.at(w.portal + "/sso/account")
	b.open(w.portal + "/sso/sign_out")
	b.click("Sign out")
	b.sees("You’re signed out")
	b.open(w.game + "/play")
	b.path(w.portal + "/sso/sign_in")
	b.sees("Sign in to continue to Demo game")
}

func TestADeniedPageNamesWhoIsSignedInAndSwitchingGetsThrough(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.staff + "/files?page=2")
		b.signIn(demo.Name, demo.Password)
		b.at(w.staff + "/files?page=2")
		b.status(http.StatusForbidden)
		b.sees("You don’t have access to Staff room", "This page is for members of staff.", demo.Name, demo.Email)
		if n := w.backend.count(w.staff, "/files"); n != 0 {
			t.Errorf("%d requests reached the backend", n)
		}
		b.click("Use another account")
		b.sees("to continue to Staff room", "You are signed in as demo.")
		b.signIn(root.Name, root.Password)
		b.at(w.staff + "/files?page=2")
		b.sees("Hello, root")
	})
}

func TestADeniedPageSignsOut(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.staff + "/files")
	b.signIn(demo.Name, demo.Password)
	b.sees("You don’t have access to Staff room")
	b.click("Sign out")
	b.path(w.portal + "/sso/sign_out")
	b.sees("You’re signed out")
	b.open(w.game + "/play")
	b.path(w.portal + "/sso/sign_in")
}

func TestAFailAuthURLIsShownAndItsResumeLeadsToThePageFirstAskedFor(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.arena + "/match?round=2")
		b.path(w.arena + "/signed-out")
		b.sees("You are not signed in to the arena", "login_required")
		seen := eval[string](b, "location.search")
		if eval[string](b, "new URLSearchParams(location.search).get('error_code')") != "003-040" ||
			eval[string](b, "new URLSearchParams(location.search).get('error_description')") == "" {
			t.Errorf("the page was told %s", seen)
		}
		if got := w.backend.saw(t, w.arena, "/signed-out"+seen).Header.Get("X-SSO-User"); got != "" {
			t.Errorf("the page saw the user %q", got)
		}
		b.click("Sign in to the arena")
		b.sees("to continue to Arena")
		b.signIn(demo.Name, demo.Password)
		b.at(w.arena + "/match?round=2")
		b.sees("Hello, demo")

		b.click("Sign out")
		b.at(w.arena + "/signed-out")
		b.sees("You are not signed in to the arena")
	})
}
