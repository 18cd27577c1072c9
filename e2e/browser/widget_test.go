package browser

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// close closes the window as its user does.
func (b *tab) close() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, page.Close, cdp.Empty{}); err != nil {
		b.fatalf("closing the window: %v", err)
	}
	b.closed()
}

// waits opens the partner's page that waits for messages, and redeems the code
// of a callback that it is handed.
func (b *tab) waits(w *world, policy string, more ...string) {
	b.t.Helper()
	b.open(w.partner + "/opener?coop=" + policy)
	b.sees("Opener")
	b.do("target = " + quote(popupAuth(w, more...)))
	b.do(redeem(w) + `addEventListener("message", ({data}) => redeem(data))`)
}

// redeem is a function for scripts that redeems the code of a callback, if a
// message has one.
func redeem(w *world) string {
	return `function redeem({loginUri}) {
		if (loginUri) fetch(` + quote(w.portal+"/api/oauth2/token") + `, {method: "POST", body: new URLSearchParams({
			grant_type: "authorization_code", client_id: "6", redirect_uri: loginUri.split("?")[0],
			code: new URL(loginUri).searchParams.get("code"), code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		})});
	}
	`
}

// opener opens that page, and from there a window to sign in.
func (b *tab) opener(w *world, policy string, more ...string) *tab {
	b.t.Helper()
	b.waits(w, policy, more...)
	return b.opens(func() { b.click("Open") })
}

func TestLoginAPIPopupOfSomeoneWithASessionOnlyEnds(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.begin(w)
		window := b.opener(w, "")
		window.path(w.partner + "/oauth2/callback")
		b.hears(w, "login:success")

		b.do("heard = []; target = " + quote(popupAuth(w, "enable_post_message_login")))
		b.click("Open")
		b.hears(w, "babka-login")
		b.until("opened.closed")
	})
}

func TestLoginAPIPopupTellsOfEachAttemptThatFails(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	window := b.opener(w, "")
	window.signIn(demo.Name, "wrong")
	window.sees("User name or password is wrong")
	got := b.hears(w, "open", "login:error")
	if e, _ := got[1].Data["error"].(map[string]any); e["code"] != "003-001" || e["description"] != "User name or password is wrong" {
		t.Errorf("the opener heard of %v", e)
	}
	window.signIn(demo.Name, demo.Password)
	window.path(w.partner + "/oauth2/callback")
	b.hears(w, "open", "login:error", "login:success")
}

func TestLoginAPIPopupThatIsClosedHalfWaySaysSo(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	window := b.opener(w, "", "enable_post_message_login")
	window.sees("to continue to Partner")
	window.close()
	b.hears(w, "open", "close")

	// It can be opened again, and a page that is loaded once more is open.
	b.do("heard = []")
	window = b.opens(func() { b.click("Open") })
	window.sees("to continue to Partner")
	window.do("location.reload()")
	b.hears(w, "open", "close", "open")
	window.signIn(demo.Name, demo.Password)
	window.closed()
	b.hears(w, "open", "close", "open", "babka-login")
}

func TestLoginAPIPopupWhoseOpenerIsGoneSaysWhatToDo(t *testing.T) {
	for name, leave := range map[string]func(b *tab){
		"closed":              func(b *tab) { b.close() },
		"cut off by a policy": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := withTLS(t)
			p := newProfile(t)
			p.tab() // keeps the profile's window open
			b := p.tab()
			policy := ""
			if leave == nil {
				policy = "same-origin"
			}
			window := b.opener(w, policy, "enable_post_message_login")
			window.sees("to continue to Partner")
			if leave != nil {
				leave(b)
			}
			window.signIn(demo.Name, demo.Password)
			window.path(w.portal + "/sso/widget")
			window.sees("You’re signed in", "The window that you came from is gone. Go on in this one.")
			if n := w.backend.count(w.partner, "/oauth2/callback"); n != 0 {
				t.Errorf("the callback was followed %d times before anybody said so", n)
			}
			if leave == nil {
				if got := b.heard(); len(got) != 0 {
					t.Errorf("the opener heard %v", got)
				}
			}
			window.click("Continue")
			window.path(w.partner + "/oauth2/callback")
		})
	}
}

func TestLoginAPIPopupWhoseOpenerWentElsewhereStaysOpen(t *testing.T) {
	w := withTLS(t)
	for name, where := range map[string]string{"to another site": w.elsewhere + "/opener", "to another page": w.partner + "/opener"} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			window := b.opener(w, "", "enable_post_message_login", "widget_only")
			window.sees("to continue to Partner")
			b.open(where)
			b.sees("Opener")
			window.expect("Failed to execute 'postMessage'")
			window.signIn(demo.Name, demo.Password)
			window.sees("You’re signed in", "The page that you came from did not go on. Go on in this window, or close it and sign in there again.")
			window.look("widget-silent")
			before := w.backend.count(w.partner, "/oauth2/callback")
			window.click("Continue")
			window.path(w.partner + "/oauth2/callback")
			if n := w.backend.count(w.partner, "/oauth2/callback") - before; n != 1 {
				t.Errorf("the callback was followed %d times", n)
			}
		})
	}
}

func TestLoginAPIPopupWhoseOpenerComesToNothingSaysSo(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.partner + "/opener")
	b.sees("Opener")
	b.do("target = " + quote(popupAuth(w, "enable_post_message_login")))
	window := b.opens(func() { b.click("Open") })
	window.signIn(demo.Name, demo.Password)
	window.sees("The page that you came from did not go on.")
	// Only what is said of the code is the end.
	const unanswered = "This site does not answer right now. If the page that you came from did not go on, go on in this window."
	window.do("window.asked = fetch; window.fetch = async () => ({status: 403})")
	window.sees(unanswered, "Continue")
	window.do("window.fetch = asked")
	window.sees("The page that you came from did not go on.")
	window.expect("/sso/widget?used=1") // is refused, and then is a 410
	w.Stop()
	window.sees(unanswered, "Continue")
	window.look("widget-unanswered")
	if err := w.Up(); err != nil { // codes are in memory
		t.Fatal(err)
	}
	window.sees("The page that you came from did not go on in time. Close this window and sign in there again.")
	window.seesNot("Continue")
	window.look("widget-late")
}

func TestLoginAPIPopupKeepsAnOpenerThatAllowsPopups(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	window := b.opener(w, "same-origin-allow-popups", "enable_post_message_login")
	window.signIn(demo.Name, demo.Password)
	window.closed()
	b.hears(w, "open", "babka-login")
}

func TestLoginAPIPopupThatIsBlockedGoesOnInTheSameWindow(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(popupAuth(w)) // what a page does where open gives null
	b.signIn(demo.Name, demo.Password)
	b.path(w.partner + "/oauth2/callback")
}

func TestLoginAPIPopupNeedsNoThirdPartyCookies(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.refuseThirdPartyCookies()
	if _, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{
		Name: "third", Value: "party", URL: w.elsewhere, Secure: new(true), SameSite: network.CookieSameSiteNone,
	}); err != nil {
		t.Fatal(err)
	}
	b.open(w.elsewhere + "/itself")
	b.sees("Hello")
	b.waits(w, "", "enable_post_message_login")
	b.do("fetch(" + quote(w.elsewhere+"/third") + ", {mode: 'no-cors', credentials: 'include'}).then(() => { window.fetched = true })")
	b.until("window.fetched")
	for address, want := range map[string]string{"/itself": "third=party", "/third": ""} {
		if got := w.backend.saw(t, w.elsewhere, address).Header.Get("Cookie"); got != want {
			t.Fatalf("%s: cookies %q, want %q", address, got, want)
		}
	}

	window := b.opens(func() { b.click("Open") })
	window.refuseThirdPartyCookies()
	window.signIn(demo.Name, demo.Password)
	window.closed()
	b.hears(w, "open", "babka-login")

	b.do("heard = []")
	b.click("Open") // there is a session now
	b.hears(w, "babka-login")
	b.until("opened.closed")
}

func TestLoginAPIPopupWithoutAnyCookiesSaysWhatToDo(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	window := b.opener(w, "", "enable_post_message_login")
	window.sees("to continue to Partner")
	b.profile.clearCookies()
	window.signIn(demo.Name, demo.Password)
	window.sees("Your browser blocks cookies", "Allow cookies for this site, then start again.")
	b.hears(w, "open", "login:error")
	window.click("Start again")
	window.sees("to continue to Partner")
	window.signIn(demo.Name, demo.Password)
	window.closed()
	b.hears(w, "open", "login:error", "open", "babka-login")
}

func TestWidgetOnlyShowsNothingAroundTheForm(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	const header = "document.querySelectorAll('header').length"
	b.open(popupAuth(w, "widget_only"))
	b.path(w.portal + "/sso/sign_in")
	if n := eval[int](b, header); n != 0 {
		t.Errorf("%d headers beside the form", n)
	}
	b.look("sign-in-widget-only")
	b.stay(w.portal + "/api/oauth2/auth*")
	b.signIn(demo.Name, demo.Password)
	b.sees("You’re signed in", "Taking you to Partner…")
	if n := eval[int](b, header); n != 0 {
		t.Errorf("%d headers after the form", n)
	}
	b.look("continue-widget-only")
}

func TestWidgetOnlyWidgetsShowNothingAroundThem(t *testing.T) {
	w := withTLS(t)
	for name, more := range map[string][]string{"widget-gone": nil, "widget-gone-widget-only": {"widget_only"}} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.begin(w)
			b.open(popupAuth(w, append(more, "enable_post_message_login")...))
			b.sees("The window that you came from is gone. Go on in this one.")
			if n, want := eval[int](b, "document.querySelectorAll('header').length"), 1-len(more); n != want {
				t.Errorf("%d headers, want %d", n, want)
			}
			b.look(name)
		})
	}
}

func TestDisableSocialsLeavesTheButtonsOfProvidersOut(t *testing.T) {
	c, _ := providers(t)
	harness.Start(t, c.String())
	b := newTab(t)
	query := url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {c.Gate + "/oauth2/callback"}, "scope": {"email"}, "audience": {"game"},
		"state": {"a-state-of-the-game"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode()
	for more, want := range map[string]bool{"": true, "&disable_socials=true": false} {
		b.open(c.Portal + "/api/oauth2/auth?" + query + more)
		b.sees("to continue to Demo game")
		if got := strings.Contains(b.text(), "Continue with Acme Inc."); got != want {
			t.Errorf("%q: the provider's button is there: %v", more, got)
		}
	}
}

// refuseThirdPartyCookies has the browser keep cookies of the page's own site
// only.
func (b *tab) refuseThirdPartyCookies() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, network.SetCookieControls, network.SetCookieControlsParams{EnableThirdPartyCookieRestriction: true}); err != nil {
		b.t.Fatal(err)
	}
}

// withProviders is a world of a portal with outside providers, and the partner.
func withProviders(t *testing.T) (*world, *harness.Provider) {
	t.Helper()
	c, acme := providers(t)
	w := &world{portal: c.Portal, partner: fmt.Sprintf("http://localhost:%d", harness.Port(t)), backend: newBackend(t)}
	c.Clients = append(c.Clients, harness.Application{ID: "6", Lines: "name Partner\npublic\nredirect_uri " + w.partner + "/oauth2/callback\naudience game\nscope email"})
	c.Sites += w.partner + " {\n\treverse_proxy " + w.backend.addr + "\n}\n"
	w.Server = harness.Start(t, c.String())
	return w, acme
}

func TestLoginAPIPopupGoesByAProviderAndStillKnowsItsOpener(t *testing.T) {
	w, acme := withProviders(t)
	b := newTab(t)
	window := b.opener(w, "", "enable_post_message_login")
	window.click("Continue with Acme Inc.")
	window.wait("the provider", func() bool { return strings.HasPrefix(window.url(), acme.Issuer+"/interaction/") })
	window.do("document.querySelector('[name=login]').value = 'ann'")
	window.click("Sign in at the provider")
	window.closed()
	b.hears(w, "open", "babka-login")
}

func TestLoginAPIPopupTellsOfAProviderThatFails(t *testing.T) {
	w, acme := withProviders(t)
	b := newTab(t)
	window := b.opener(w, "", "enable_post_message_login", "widget_only")
	ends := func(how, look string, heard ...string) {
		t.Helper()
		window.sees(how)
		got := b.hears(w, heard...)
		if e, _ := got[len(got)-1].Data["error"].(map[string]any); e["code"] != "010-015" || !strings.Contains(how, fmt.Sprint(e["description"])) {
			t.Errorf("the opener heard of %v", e)
		}
		if n := eval[int](window, "document.querySelectorAll('header').length"); n != 0 {
			t.Errorf("%s: %d headers", how, n)
		}
		window.look(look)
	}
	window.click("Continue with Acme Inc.")
	window.wait("the provider", func() bool { return strings.HasPrefix(window.url(), acme.Issuer+"/interaction/") })
	window.click("Cancel")
	ends("You were not signed in", "message-cancelled-widget-only", "open", "login:error")
	window.click("Try again")
	window.sees("to continue to Partner")
	b.hears(w, "open", "login:error", "open")
	window.click("Continue with The Umbrella Corporation of Raccoon City and its many branches")
	ends("The Umbrella Corporation of Raccoon City and its many branches does not answer", "message-down-widget-only", "open", "login:error", "open", "login:error")
	window.close()
	b.hears(w, "open", "login:error", "open", "login:error", "close")
}

// Another tab signed in meanwhile.
func TestLoginAPIPopupThatIsLoadedAgainWithASessionIsStillOpen(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	window := b.opener(w, "", "widget_only")
	window.sees("to continue to Partner")
	b.profile.tab().begin(w)
	window.do("location.reload()")
	window.sees("You’re signed in", "Continue to Partner")
	b.hears(w, "open", "close", "open")
	if n := eval[int](window, "document.querySelectorAll('header').length"); n != 0 {
		t.Errorf("%d headers", n)
	}
	window.look("account-widget-only")
	window.click("Continue to Partner")
	window.path(w.partner + "/oauth2/callback")
	b.hears(w, "open", "close", "open", "login:success")
}
