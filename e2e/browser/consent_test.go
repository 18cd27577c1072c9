package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// withConsent is a world of a portal and the partner, whose users are asked.
func withConsent(t *testing.T) *world {
	t.Helper()
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	w := &world{portal: c.Portal, partner: fmt.Sprintf("http://localhost:%d", harness.Port(t)), backend: newBackend(t)}
	c.Clients = append(c.Clients, harness.Application{ID: "6", Lines: `name Partner
public
redirect_uri ` + w.partner + `/oauth2/callback
audience game
scope email offline inventory
scope_text inventory "see and trade the items in your inventory"
consent first`})
	c.Sites += w.partner + " {\n\treverse_proxy " + w.backend.addr + "\n}\n"
	w.Server = harness.Start(t, c.String())
	return w
}

// partnerAuth is a request of the partner in the same window, for more scopes.
func partnerAuth(w *world, scope string) string {
	return strings.NewReplacer("popup=true", "popup=false", "scope=email", "scope="+scope).Replace(popupAuth(w))
}

func TestAUserIsAskedForConsentAndCanSayNoAndWithdrawIt(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			w := withConsent(t)
			b := newTab(t)
			b.scripts(scripts)
			b.open(partnerAuth(w, "email+inventory"))
			b.signIn(demo.Name, demo.Password)
			b.path(w.portal + "/sso/consent")
			b.sees("Allow Partner?", demo.Email, "see your e-mail address", "see and trade the items in your inventory", "Either way you go on to "+strings.TrimPrefix(w.partner, "http://"))
			b.click("Cancel")
			b.path(w.partner + "/oauth2/callback")
			b.until("location.search.startsWith('?error=access_denied&error_code=010-026&') && location.search.endsWith('&state=a-state-of-the-partner')")

			b.open(partnerAuth(w, "email+inventory"))
			b.click("Allow")
			b.path(w.partner + "/oauth2/callback")
			b.until("location.search.startsWith('?code=')")
			b.open(partnerAuth(w, "inventory"))
			b.path(w.partner + "/oauth2/callback")

			b.open(partnerAuth(w, "email+offline"))
			b.sees("stay signed in when you are away new")
			b.open(w.portal + "/sso/sessions")
			b.sees("Applications that you allowed", "Can see and trade the items in your inventory")
			b.click("Withdraw")
			b.until("!document.getElementById('allowed')")
			b.open(partnerAuth(w, "email"))
			b.path(w.portal + "/sso/consent")
			b.sees("Allow Partner?")
		})
	}
}

func TestAPopupAsksForConsentAndTellsItsOpenerOfANo(t *testing.T) {
	w := withConsent(t)
	b := newTab(t)
	window := b.opener(w, "", "enable_post_message_login", "widget_only")
	window.signIn(demo.Name, demo.Password)
	window.path(w.portal + "/sso/consent")
	window.sees("Allow Partner?")
	window.look("consent-widget-only")
	window.click("Cancel")
	window.closed()
	got := b.hears(w, "open", "open", "login:error")
	if e, _ := got[2].Data["error"].(map[string]any); e["code"] != "010-026" || e["description"] != "You did not allow it" {
		t.Errorf("the opener heard of %v", e)
	}

	b.do("heard = []; target = " + quote(popupAuth(w)))
	window = b.opens(func() { b.click("Open") })
	window.sees("Allow Partner?")
	window.click("Cancel")
	window.path(w.partner + "/oauth2/callback")
	b.hears(w, "open", "login:error")
	if !strings.Contains(window.url(), "error=access_denied") {
		t.Errorf("the window is at %s", window.url())
	}
	window.open(popupAuth(w))
	window.click("Allow")
	window.path(w.partner + "/oauth2/callback")
	b.hears(w, "open", "login:error", "open", "login:success")
}

func TestTheConsentPageIsAccessibleAndWorksByKeyboardAlone(t *testing.T) {
	w := withConsent(t)
	b := newTab(t)
	b.open(w.portal + "/sso/sign_in")
	b.signIn(demo.Name, demo.Password)
	b.sees("You’re signed in")
	b.open(partnerAuth(w, "email"))
	b.sees("Allow Partner?")
	b.look("consent")
	for _, on := range []string{"Use another account", "Allow", "Cancel"} {
		b.press(kb.Tab)
		b.until("document.activeElement.textContent === " + quote(on))
		b.focusShows()
	}
	b.do("document.querySelector('[value=allow]').focus()")
	b.press(kb.Enter)
	b.path(w.partner + "/oauth2/callback")
	b.open(partnerAuth(w, "email+offline+inventory"))
	b.sees("new")
	b.look("consent-new-scopes")
	b.open(w.portal + "/sso/sessions")
	b.sees("Applications that you allowed")
	b.look("sessions-with-consents")

	// What a user changes elsewhere meanwhile has the page show again.
	b.open(partnerAuth(w, "email+offline"))
	b.sees("Allow Partner?")
	other := b.profile.tab()
	other.open(w.portal + "/sso/sign_in?switch=1")
	other.signIn(root.Name, root.Password)
	other.sees("You’re signed in")
	b.expect("409")
	b.click("Allow")
	b.sees("Something changed since you opened this page", root.Email)
	b.look("consent-changed")
}
