package browser

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

func TestPopupSignsInInAWindowAndThePageGoesOnByItself(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.club + "/floor?table=7#bar")
		b.sees("Sign in to Night club", "You need to sign in to see this page.")
		b.status(401)
		window := b.opens(func() { b.click("Sign in") })
		b.sees("Finish signing in in the window that opened.", "Show the window")
		window.path(w.portal + "/sso/sign_in")
		window.sees("to continue to Night club")
		window.signIn(demo.Name, "wrong")
		window.sees("User name or password is wrong")
		window.signIn(demo.Name, demo.Password)
		b.at(w.club + "/floor?table=7#bar")
		b.sees("Hello, demo")
		window.closed()
		if n := w.backend.count(w.club, "/floor"); n != 1 {
			t.Errorf("the page was asked for %d times", n)
		}
	})
}

func TestPopupWithItsOpenerCutTellsThePageOverABroadcastChannel(t *testing.T) {
	for name, cut := range map[string]func(w *world, window *tab){
		"by a script": func(_ *world, window *tab) { window.do("window.opener = null") },
		"by a page in between": func(w *world, window *tab) {
			next := window.url()
			window.open(w.partner + "/severs?next=" + url.QueryEscape(next))
			window.sees("Elsewhere")
			if eval[bool](window, "Boolean(window.opener)") {
				window.t.Fatal("the opener is not cut")
			}
			window.click("Go on")
			window.at(next)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := withTLS(t)
			b := newTab(t)
			b.open(w.club + "/floor")
			window := b.opens(func() { b.click("Sign in") })
			window.path(w.portal + "/sso/sign_in")
			cut(w, window)
			window.signIn(demo.Name, demo.Password)
			b.at(w.club + "/floor")
			b.sees("Hello, demo")
		})
	}
}

func TestPopupThatIsBlockedFallsBackToARedirect(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.beforeScripts("window.open = () => null")
	b.open(w.club + "/floor?table=7")
	b.click("Sign in")
	b.path(w.portal + "/sso/sign_in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.club + "/floor?table=7")
	b.sees("Hello, demo")
}

func TestPopupThatIsClosedCanBeOpenedAgain(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.club + "/floor")
	window := b.opens(func() { b.click("Sign in") })
	window.path(w.portal + "/sso/sign_in")
	window.do("window.close()")
	window.closed()
	b.sees("The window was closed before you had signed in.")
	window = b.opens(func() { b.click("Try again") })
	window.signIn(demo.Name, demo.Password)
	b.at(w.club + "/floor")
	b.sees("Hello, demo")
}

func TestPopupPageAlsoSignsInInItsOwnWindow(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.club + "/floor")
	b.click("Sign in without a new window")
	b.signIn(demo.Name, demo.Password)
	b.at(w.club + "/floor")
}

func TestPopupOfSomeoneWithASessionNeedsNoPassword(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.game + "/play")
	b.signIn(demo.Name, demo.Password)
	b.at(w.game + "/play")
	b.open(w.club + "/floor")
	b.click("Sign in")
	b.at(w.club + "/floor")
	b.sees("Hello, demo")
}

// popupAuth is what an application that uses the Login API opens a window with.
func popupAuth(w *world, more ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"6"}, "redirect_uri": {w.partner + "/oauth2/callback"},
		"scope": {"email"}, "state": {"a-state-of-the-partner"}, "audience": {"game"}, "popup": {"true"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	for _, name := range more {
		q.Set(name, "true")
	}
	return w.portal + "/api/oauth2/auth?" + q.Encode()
}

// A heard message is one that an opener got.
type heard struct {
	Origin string         `json:"origin"`
	Data   map[string]any `json:"data"`
}

func (b *tab) heard() []heard {
	b.t.Helper()
	var messages []heard
	if err := json.Unmarshal([]byte(eval[string](b, "JSON.stringify(heard)")), &messages); err != nil {
		b.t.Fatal(err)
	}
	return messages
}

// hears waits for messages of the portal with these names, and no others, each
// with the state of the request.
func (b *tab) hears(w *world, names ...string) []heard {
	b.t.Helper()
	b.until(fmt.Sprintf("heard.length >= %d", len(names)))
	got := b.heard()
	right := len(got) == len(names)
	for i, name := range names {
		params, _ := got[i].Data["params"].(map[string]any)
		right = right && got[i].Origin == w.portal && got[i].Data["type"] == "@xsolla-login/sdk:"+name && len(params) == 1 && params["state"] == "a-state-of-the-partner"
	}
	if !right {
		b.t.Fatalf("the opener heard %v, want %v of %s", got, names, w.portal)
	}
	return got
}

func TestLoginAPIPopupTellsItsOpenerAndFollowsTheCallback(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.partner + "/opener")
		b.sees("Opener")
		b.do("target = " + quote(popupAuth(w)))
		window := b.opens(func() { b.click("Open") })
		window.sees("to continue to Partner")
		window.signIn(demo.Name, demo.Password)
		window.path(w.partner + "/oauth2/callback")
		b.hears(w, "open", "login:success")
		callback, err := url.Parse(window.url())
		if err != nil || callback.Query().Get("code") == "" || callback.Query().Get("state") != "a-state-of-the-partner" {
			t.Errorf("the window ended at %s", window.url())
		}
	})
}

func TestLoginAPIPopupHandsTheCallbackToItsOpenerAndCloses(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	window := b.opener(w, "", "enable_post_message_login")
	window.signIn(demo.Name, demo.Password)
	window.closed()
	got := b.hears(w, "open", "babka-login")
	if uri, _ := got[1].Data["loginUri"].(string); !strings.HasPrefix(uri, w.partner+"/oauth2/callback?code=") {
		t.Errorf("loginUri is %q", uri)
	}
	if n := w.backend.count(w.partner, "/oauth2/callback"); n != 0 {
		t.Errorf("the callback was followed %d times, too", n)
	}
}

func TestClass30LoginAPIPopupTellsNobodyOfAnotherOrigin(t *testing.T) {
	w := withTLS(t)
	for name, more := range map[string][]string{"success": nil, "hand-over": {"enable_post_message_login"}} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.open(w.elsewhere + "/opener")
			b.sees("Opener")
			b.do("target = " + quote(popupAuth(w, more...)))
			window := b.opens(func() { b.click("Open") })
			window.sees("to continue to Partner")
			window.expect("Failed to execute 'postMessage'")
			b.expect("Failed to execute 'postMessage'") // Chromium may report it here, too
			window.signIn(demo.Name, demo.Password)
			if more != nil {
				window.sees("The page that you came from did not go on.")
				window.click("Continue")
			}
			window.path(w.partner + "/oauth2/callback")
			if got := b.heard(); len(got) != 0 {
				t.Errorf("the other origin heard %v", got)
			}
		})
	}
}

// beforeScripts runs a script in every page of the tab before its own.
func (b *tab) beforeScripts(source string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source}); err != nil {
		b.t.Fatal(err)
	}
}
