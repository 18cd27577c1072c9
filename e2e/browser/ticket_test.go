package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// ticketURL brings a browser to the studio, without the return from there, and
// returns the URL of that return.
func (b *tab) ticketURL(c *harness.Caddyfile, s *harness.Studio, name string) string {
	b.t.Helper()
	s.Hold(true)
	defer s.Hold(false)
	b.open(c.Gate + "/play")
	b.sees("")
	if strings.HasPrefix(b.url(), c.Portal) {
		b.click(toShop)
	}
	b.atShop(s, name)
	b.sees("Go back")
	back := eval[string](b, "document.getElementById('ticket').href")
	if !strings.HasPrefix(back, c.Portal+"/sso/callback/shop?") || !strings.Contains(back, "ticket=") {
		b.fatalf("the portal leads to %s", back)
	}
	return back
}

const elsewhere = "It was begun in another browser, or your cookies changed since."

// nobody holds that a browser is not signed in, neither here nor at the portal.
func (b *tab) nobody(c *harness.Caddyfile) {
	b.t.Helper()
	for _, cookie := range b.profile.cookies() {
		if strings.Contains(cookie.Name, "_session_") || strings.Contains(cookie.Name, "_site_") {
			b.t.Errorf("there is the cookie %s", cookie.Name)
		}
	}
	b.open(c.Gate + "/play")
	b.path(c.Portal + "/sso/sign_in")
	b.sees(toShop)
}

func TestClass27ATicketIsOfOneBrowserAndOfOneUse(t *testing.T) {
	c, s, server := byStudio(t, trustedBeside)
	b := newTab(t)
	back := b.ticketURL(c, s, "zoe")

	// Another browser opens the address first, and signs nobody in: not even one
	// that has begun a sign-in of its own.
	strange := newTab(t)
	strange.open(back)
	strange.sees("Your browser blocks cookies", "Allow cookies for this site, then start again.")
	strange.nobody(c)
	strange.open(back)
	strange.sees("Signing in was not finished", elsewhere, "Start again from the sign-in page.")
	strange.status(http.StatusBadRequest)
	strange.look("message-ticket-of-another-browser")
	strange.nobody(c)

	// That costs the owner nothing.
	b.click("Go back")
	b.isAtBackend(c.Gate+"/play", zoe)

	// Nor does the same address once more, in either browser.
	for range 2 {
		b.open(back)
		b.sees("This sign-in was finished before", "It can be used once.")
		b.status(http.StatusConflict)
	}
	b.click("Go on")
	b.isAtBackend(c.Gate+"/play", zoe)
	strange.open(back)
	strange.sees("Signing in was not finished", elsewhere)
	strange.nobody(c)
	if n := len(server.Log.Audit("sign-in")); n != 1 {
		t.Errorf("%d sign-ins", n)
	}

	// After signing out it signs nobody in again.
	b.open(c.Gate + "/oauth2/sign_out")
	b.click("Sign out")
	b.sees("You’re signed out")
	b.open(back)
	b.sees("This sign-in was finished before")
	b.click("Go on")
	b.path(c.Portal + "/sso/sign_in")
	b.sees(toShop)
}

// Login CSRF: an attacker has a ticket of their own opened by another user, who
// would then use the attacker's account.
func TestClass15AnAttackersTicketSignsNobodyElseIn(t *testing.T) {
	c, s, _ := byStudio(t, trustedBeside)
	for name, begin := range map[string]func(*tab){
		"who has never been here":    func(*tab) {},
		"who is about to sign in":    func(b *tab) { b.open(c.Gate + "/play"); b.sees(toShop) },
		"who is at the studio's now": func(b *tab) { b.open(c.Gate + "/play"); b.click(toShop); b.path(s.Origin + "/sign-in") },
	} {
		t.Run(name, func(t *testing.T) {
			attacker, victim := newTab(t), newTab(t)
			back := attacker.ticketURL(c, s, "max")
			begin(victim)
			victim.open(s.Origin + "/sign-in") // as by a link of another site
			victim.do("location.href = " + quote(back))
			victim.sees("Start again")
			victim.nobody(c)
			victim.click(toShop) // and the page leads on to an account of one's own
			victim.atShop(s, "zoe")
			victim.isAtBackend(c.Gate+"/play", zoe)

			attacker.click("Go back")
			attacker.isAtBackend(c.Gate+"/play", map[string]string{"X-SSO-User": "max"})
		})
	}

	// A signed-in user stays the same user.
	attacker, victim := newTab(t), newTab(t)
	back := attacker.ticketURL(c, s, "max")
	victim.open(c.Gate + "/play")
	victim.signIn(harness.Demo.Name, harness.Demo.Password)
	victim.isAtBackend(c.Gate+"/play", map[string]string{"X-SSO-User": harness.Demo.Name})
	victim.open(back)
	victim.sees("Signing in was not finished", elsewhere)
	victim.open(c.Gate + "/play")
	victim.isAtBackend(c.Gate+"/play", map[string]string{"X-SSO-User": harness.Demo.Name})

	// A victim whom the attacker leads to the studio with a state of the attacker's
	// own is no gift to them either.
	attacker, victim = newTab(t), newTab(t)
	attacker.open(c.Gate + "/play")
	attacker.click(toShop)
	attacker.path(s.Origin + "/sign-in")
	victim.open(attacker.url())
	victim.atShop(s, "zoe")
	victim.sees("Start again")
	victim.nobody(c)
	attacker.open(c.Gate + "/play")
	attacker.path(c.Portal + "/sso/sign_in")

	// A link straight to the studio, which signs in anyone who it knows, switches nobody.
	shopper := newTab(t)
	shopper.ticketURL(c, s, "zoe")
	shopper.open(c.Portal + "/sso/sign_in?switch=1")
	shopper.signIn(harness.Demo.Name, harness.Demo.Password)
	shopper.path(c.Portal + "/sso/account")
	direct := c.Portal + "/api/oauth2/social/shop/login_redirect?response_type=code&client_id=1&state=abcdefgh&scope=email&redirect_uri=" + c.Gate + "/oauth2/callback&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
	shopper.open(direct)
	shopper.sees("You are signed in with another account", "Here you are signed in as", "Nothing has changed.")
	shopper.look("message-another-account-at-the-studio")
	shopper.click("Stay signed in as demo@example.com")
	shopper.sees("You’re signed in", "demo@example.com")
	shopper.open(c.Gate + "/play")
	shopper.isAtBackend(c.Gate+"/play", map[string]string{"X-SSO-User": harness.Demo.Name})
}

func TestATicketThatIsNoneEndsAtAPageThatLeadsOn(t *testing.T) {
	c, s, _ := byStudio(t, trustedBeside)
	b := newTab(t)
	back := b.ticketURL(c, s, "zoe")
	made := back[:strings.Index(back, "ticket=")] + "ticket=AAAAAAAAAAAAAAAAAAAAAAAAAA"
	b.open(made)
	b.sees("Signing in was not finished", "The answer from The shop cannot be used.", "Try again. If it happens again, tell the people who run this site.")
	b.status(http.StatusBadGateway)
	b.look("message-ticket-that-is-none")
	b.click("Try again")
	b.sees("to continue to Demo game")
	b.click(toShop)
	b.isAtBackend(c.Gate+"/play", zoe)
}
