package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// trustedBeside has the studio's own sign-in page as a sign-in method beside the
// password.
func trustedBeside(c *harness.Caddyfile, s *harness.Studio) { c.Options += s.Trusted() }

// trustedAlone has it as the only sign-in method.
func trustedAlone(c *harness.Caddyfile, s *harness.Studio) {
	c.NoLocal = true
	c.Options += s.Trusted()
}

const toShop = "Continue with The shop"

var zoe = map[string]string{"X-SSO-User": "zoe", "X-SSO-Email": "zoe@game.example", "X-SSO-Groups": "players"}

// atShop waits for the studio's page, and signs in there.
func (b *tab) atShop(s *harness.Studio, name string) {
	b.t.Helper()
	b.path(s.Origin + "/sign-in")
	b.fill("login", name)
	b.click("Sign in at the shop")
}

func TestTheStudiosOwnPageSignsPeopleIn(t *testing.T) {
	for name, test := range map[string]struct {
		methods func(*harness.Caddyfile, *harness.Studio)
		button  bool
	}{
		"by a button of the hosted page":       {trustedBeside, true},
		"at once, where it is the only method": {trustedAlone, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, s, server := byStudio(t, test.methods)
			b := newTab(t)
			b.open(c.Gate + "/play?level=3")
			if test.button {
				b.path(c.Portal + "/sso/sign_in")
				b.look("sign-in-with-a-page-of-ones-own")
				b.click(toShop)
			}
			b.atShop(s, "zoe")
			b.isAtBackend(c.Gate+"/play?level=3", zoe)
			for _, step := range b.trail() {
				if strings.HasPrefix(step, "5") || strings.HasPrefix(step, "4") {
					t.Errorf("the trail went through %s", step)
				}
			}
			if lines := server.Log.Containing(harness.StudioSecret); len(lines) > 0 {
				t.Errorf("the log has the secret in %q", lines)
			}

			b.open(c.Gate + "/oauth2/sign_out")
			b.click("Sign out")
			b.sees("You’re signed out") // and nobody signs in again by themselves

			// A user who is signed in at the studio types nothing.
			b.open(c.Gate + "/again")
			if test.button {
				b.click(toShop)
			}
			b.isAtBackend(c.Gate+"/again", zoe)
		})
	}
}

func TestWhoDoesNotWantToSignInAtTheStudioIsToldAndMayTryAgain(t *testing.T) {
	c, s, _ := byStudio(t, trustedAlone)
	b := newTab(t)
	b.open(c.Gate + "/play")
	b.path(s.Origin + "/sign-in")
	b.click("Not now")
	b.sees("You were not signed in", "Signing in with The shop was cancelled.", "Try again, or go back to the application.")
	b.status(http.StatusForbidden)
	b.click("Try again")
	b.atShop(s, "zoe")
	b.isAtBackend(c.Gate+"/play", zoe)
}

func TestAStudioWhoseSecretIsAnotherSignsNobodyIn(t *testing.T) {
	c, s, server := byStudio(t, trustedAlone)
	s.SignWith("another-secret-0123456789")
	b := newTab(t)
	b.open(c.Gate + "/play")
	b.atShop(s, "zoe")
	b.sees("The portal answered 401: invalid_signature")
	b.open(c.Gate + "/play")
	b.path(s.Origin + "/sign-in") // not at the backend
	if lines := server.Log.Containing("a ticket was refused"); len(lines) == 0 {
		t.Error("the log says nothing")
	}
	s.SignWith(harness.StudioSecret)
	b.open(c.Gate + "/play")
	b.isAtBackend(c.Gate+"/play", zoe)
}

// doubleClick presses a button or link twice, as fast as people do.
func (b *tab) doubleClick(text string) {
	b.t.Helper()
	x, y := b.spot(labelled(text))
	for count := range int64(2) {
		for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
			_, err := chromedp.Call(b.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{
				Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: count + 1,
			})
			if err != nil {
				b.fatalf("clicking: %v", err)
			}
		}
	}
}

func TestADoubleClickBeforeAndAfterTheStudioSignsInOnce(t *testing.T) {
	c, s, server := byStudio(t, trustedBeside)
	b := newTab(t)
	b.open(c.Gate + "/play")
	b.path(c.Portal + "/sso/sign_in")
	b.doubleClick(toShop)
	b.path(s.Origin + "/sign-in")
	b.fill("login", "zoe")
	b.doubleClick("Sign in at the shop")
	// The browser may have followed the first click's answer and given that up, so that
	// the second's is one to a sign-in that was finished.
	b.until("document.readyState === 'complete' && (location.href === " + quote(c.Gate+"/play") + " || document.body.innerText.includes('Go on if you are signed in'))")
	signIns := 1
	if b.url() != c.Gate+"/play" {
		b.click("Go on")
		b.until("document.readyState === 'complete' && (location.href === " + quote(c.Gate+"/play") + " || location.href.startsWith(" + quote(c.Portal+"/sso/sign_in") + "))")
	}
	if b.url() != c.Gate+"/play" { // the first answer, with the cookie of the session, did not arrive
		signIns++
		b.click(toShop)
		b.path(s.Origin + "/sign-in")
		b.fill("login", "zoe")
		b.click("Sign in at the shop")
	}
	b.isAtBackend(c.Gate+"/play", zoe)
	if n := len(server.Log.Audit("sign-in")); n != signIns {
		t.Errorf("%d sign-ins, want %d", n, signIns)
	}
}

func TestBackAfterSigningInAtTheStudioIsNoErrorAndEndsNoSession(t *testing.T) {
	c, s, _ := byStudio(t, trustedBeside)
	b := newTab(t)
	b.open(c.Gate + "/play")
	b.path(c.Portal + "/sso/sign_in")
	b.click(toShop)
	b.atShop(s, "zoe")
	b.isAtBackend(c.Gate+"/play", zoe)

	// One step back is the studio's page with the state of before.
	b.back()
	b.until("location.origin !== " + quote(c.Gate))
	b.sees("")
	if strings.HasPrefix(b.url(), s.Origin) {
		b.click("Sign in at the shop")
	}
	b.sees("This sign-in was finished before", "Go on if you are signed in")
	b.look("message-finished-before")
	b.click("Go on")
	b.isAtBackend(c.Gate+"/play", zoe)
}
