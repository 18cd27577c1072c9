package browser

import (
	"net/http"
	"strconv"
	"testing"
)

func TestAWrongPasswordSaysWhatToDoAndKeepsTheName(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.game + "/play?level=3")
		b.path(w.portal + "/sso/sign_in")
		if got := eval[string](b, "document.activeElement.id"); got != "username" {
			t.Errorf("the focus is on %q, want the user name", got)
		}
		b.signIn("demo@example.com", "wrong")
		b.sees("User name or password is wrong", "Check both and try again.", "to continue to Demo game")
		b.status(http.StatusUnauthorized)
		b.until("document.activeElement.id === 'password'")
		if name := eval[string](b, "username.value"); name != "demo@example.com" {
			t.Errorf("the name is %q", name)
		}
		if password := eval[string](b, "password.value"); password != "" {
			t.Error("the password is in the page")
		}
		b.until("document.querySelector('[role=alert]').id === password.getAttribute('aria-describedby')")

		b.fill("password", demo.Password)
		b.click("Sign in")
		b.at(w.game + "/play?level=3")
		b.sees("Hello, demo")
	})
}

func TestClass18TooManyAttemptsLockOutAnUnauthenticatedClientButNoBrowserThatSignedInBefore(t *testing.T) {
	w := withTLS(t)
	owner := newTab(t)
	owner.open(w.game + "/play")
	owner.signIn(demo.Name, demo.Password)
	owner.at(w.game + "/play")
	owner.click("Sign out")
	owner.sees("You’re signed out")

	unknown := newTab(t)
	unknown.open(w.game + "/play")
	for range perName {
		unknown.signIn(demo.Name, "wrong")
		unknown.sees("User name or password is wrong")
		unknown.do("document.title = 'seen'")
		unknown.do("document.getElementById('problem').remove()")
	}
	for _, name := range []string{demo.Name, "DEMO", "de\u00admo"} { // one name, however it is spelled
		unknown.signIn(name, demo.Password)
		unknown.sees("Too many attempts", "To keep the account safe, signing in is paused. Try again in")
		unknown.status(http.StatusTooManyRequests)
		seconds, err := strconv.Atoi(unknown.last().headers["retry-after"])
		if err != nil || seconds < 1 {
			t.Errorf("Retry-After: %q", unknown.last().headers["retry-after"])
		}
		unknown.do("document.getElementById('problem').remove()")
	}

	// The e-mail address has its own, so that nobody learns whose it is.
	unknown.signIn(demo.Email, "wrong")
	unknown.sees("User name or password is wrong")

	owner.open(w.game + "/again")
	owner.signIn(demo.Name, demo.Password)
	owner.at(w.game + "/again")
	owner.sees("Hello, demo")
}
