package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axe is the source of axe-core, as `npm ci` left it.
var axe = sync.OnceValues(func() (string, error) {
	source, err := os.ReadFile(filepath.Join("..", "node_modules", "axe-core", "axe.min.js"))
	return string(source), err
})

// themes and widths are what every page is looked at in.
var (
	themes = []string{"light", "dark"}
	sizes  = []struct{ width, height int64 }{{390, 844}, {1280, 800}}
)

// look takes pictures of a page in both themes and at both widths, and has
// axe-core check it in each theme.
func (b *tab) look(name string) {
	b.t.Helper()
	b.until("document.readyState === 'complete'")
	for _, theme := range themes {
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		}); err != nil {
			b.t.Fatal(err)
		}
		for _, size := range sizes {
			if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
				Width: size.width, Height: size.height, DeviceScaleFactor: 1, Mobile: size.width < 600,
			}); err != nil {
				b.t.Fatal(err)
			}
			b.until(fmt.Sprintf("innerWidth === %d && matchMedia('(prefers-color-scheme: %s)').matches", size.width, theme))
			b.until("document.getAnimations().every(a => a.playState === 'finished')")
			if eval[bool](b, "document.documentElement.scrollWidth > innerWidth") {
				b.t.Errorf("%s, %s, %d wide: the page scrolls sideways", name, theme, size.width)
			}
			b.picture(fmt.Sprintf("%s-%s-%d", name, theme, size.width))
			if (theme == themes[0]) == (size == sizes[0]) { // every theme, every width
				b.accessible(fmt.Sprintf("%s, %s, %d wide", name, theme, size.width))
			}
		}
	}
}

func (b *tab) picture(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(outDir(b.t), name+".png"), png, 0o600)
	}
	if err != nil {
		b.t.Fatalf("taking a picture of %s: %v", name, err)
	}
}

// A violation is one of axe-core's.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Failure string `json:"failureSummary"`
	} `json:"nodes"`
}

// accessible fails for every violation that axe-core finds.
func (b *tab) accessible(name string) {
	b.t.Helper()
	source, err := axe()
	if err != nil {
		b.t.Fatalf("there is no axe-core (%v); install the Debian package npm, then run in e2e: npm ci --ignore-scripts", err)
	}
	if !eval[bool](b, "typeof axe === 'object'") {
		b.do(source)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	report, err := chromedp.Run(ctx, chromedp.Evaluate[string](`axe.run().then(r => JSON.stringify({violations: r.violations, passes: r.passes.length}))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: running axe-core: %v", name, err)
	}
	var found struct {
		Violations []violation `json:"violations"`
		Passes     int         `json:"passes"`
	}
	if err := json.Unmarshal([]byte(report), &found); err != nil {
		b.t.Fatal(err)
	}
	if found.Passes < 5 {
		b.t.Errorf("%s: axe-core checked only %d rules", name, found.Passes)
	}
	for _, v := range found.Violations {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: %s: %s: %s\n%s", name, v.ID, v.Help, n.HTML, n.Failure)
		}
	}
}

// TestAxeFindsWhatIsWrong holds that axe-core runs at all.
func TestAxeFindsWhatIsWrong(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.open(w.game + "/play")
	b.path(w.portal + "/sso/sign_in")
	source, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	b.do("document.querySelector('label[for=password]').remove(); document.documentElement.removeAttribute('lang')")
	b.do(source)
	ids, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string]("axe.run().then(r => r.violations.map(v => v.id))", chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ids, " "); !strings.Contains(got, "label") || !strings.Contains(got, "html-has-lang") {
		t.Errorf("axe-core found %q", got)
	}
}

func TestEveryPageIsAccessibleInBothThemesAndAtBothWidths(t *testing.T) {
	w := onLoopback(t)
	for name, visit := range map[string]func(*tab){
		"sign-in": func(b *tab) {
			b.open(w.game + "/play")
			b.sees("to continue to Demo game")
		},
		"sign-in-without-an-application": func(b *tab) { b.open(w.portal + "/sso/sign_in") },
		"sign-in-for-offline-access": func(b *tab) {
			b.open(strings.Replace(popupAuth(w), "scope=email", "scope=email+offline", 1))
			b.sees("stay signed in when you are away")
		},
		"sign-in-widget": func(b *tab) { b.open(popupAuth(w, "widget_only")) },
		"sign-in-wrong-password": func(b *tab) {
			b.open(w.game + "/play")
			b.signIn("unknown", "wrong")
			b.sees("User name or password is wrong")
		},
		"sign-in-too-many-attempts": func(b *tab) {
			b.open(w.game + "/play")
			for range perName + 1 {
				b.signIn("a player whose name is long enough to need more than one line", "wrong")
				b.sees("Sign in")
				b.until("document.getElementById('problem')")
				if !strings.Contains(b.text(), "Too many attempts") {
					b.do("document.getElementById('problem').remove()")
				}
			}
			b.sees("Too many attempts")
		},
		"sign-in-another-account": func(b *tab) {
			b.begin(w)
			b.open(w.portal + "/sso/sign_in?switch=1")
			b.sees("You are signed in as demo.")
		},
		"message-cookies-blocked": func(b *tab) {
			b.open(w.game + "/play")
			b.sees("to continue to Demo game")
			b.profile.clearCookies()
			b.signIn(demo.Name, demo.Password)
			b.sees("Your browser blocks cookies")
		},
		"message-form-changed": func(b *tab) {
			b.open(w.game + "/play")
			b.sees("to continue to Demo game")
			b.do("document.querySelector('[name=transaction]').value = ''")
			b.signIn(demo.Name, demo.Password)
			b.sees("This form is no longer valid")
		},
		"message-bad-application": func(b *tab) {
			b.open(w.portal + "/sso/sign_in?client_id=99")
			b.sees("This request cannot be answered", "Reference: client_id is unknown.")
		},
		"message-link-leads-away": func(b *tab) {
			b.open(w.game + "/oauth2/sign_in?return=https://elsewhere.test/")
			b.sees("This link does not work")
		},
		"message-callback-damaged": func(b *tab) {
			b.open(w.game + "/oauth2/callback?code=x&state=y")
			b.sees("Signing in was not finished")
		},
		"message-too-many-redirects": func(b *tab) {
			b.begin(w)
			b.blockCookies(w.game)
			b.open(w.game + "/play")
			b.sees("Too many redirects")
		},
		"message-strange-path": func(b *tab) {
			b.open(w.shop + "/members;x/list")
			b.sees("This address does not work")
		},
		"message-old-window": func(b *tab) {
			b.open(w.portal + "/sso/widget?w=old")
			b.sees("This window is too old")
		},
		"account": func(b *tab) {
			b.begin(w)
			b.open(w.portal + "/sso/account")
			b.sees("You’re signed in")
		},
		"account-with-an-application": func(b *tab) {
			b.begin(w)
			b.back()
			b.sees("Continue to Demo game")
		},
		"sign-out": func(b *tab) {
			b.begin(w)
			b.open(w.portal + "/sso/sign_out")
			b.sees("Sign out?")
		},
		"sign-out-at-the-gate": func(b *tab) {
			b.begin(w)
			b.open(w.game + "/oauth2/sign_out")
			b.sees("Demo game asks to sign you out.")
		},
		"signed-out": func(b *tab) {
			b.begin(w)
			b.click("Sign out")
			b.path(w.portal + "/sso/sign_out")
			b.sees("You’re signed out")
		},
		"continue": func(b *tab) {
			b.open(w.game + "/play")
			b.path(w.portal + "/sso/sign_in")
			b.stay(w.portal + "/api/oauth2/auth*")
			b.signIn(demo.Name, demo.Password)
			b.sees("You’re signed in", "Taking you to Demo game…")
		},
		"continue-after-signing-out": func(b *tab) {
			b.begin(w)
			b.stay(w.portal + "/sso/sign_out*")
			b.click("Sign out")
			b.sees("You’re signed out", "One moment…")
		},
		"denied": func(b *tab) {
			b.begin(w)
			b.open(w.staff + "/files")
			b.sees("You don’t have access to Staff room")
		},
		"form-lost": func(b *tab) {
			b.open(w.elsewhere + "/elsewhere")
			b.at(w.elsewhere + "/elsewhere")
			b.compose(`action="`+w.game+`/save"`, `<input name="a" value="b">`)
			b.click("Send")
			b.sees("Sign in to send this", "It came from another site")
		},
		"form-lost-without-scripts": func(b *tab) {
			b.begin(w)
			b.compose(`action="/save"`, `<input name="a" value="b">`)
			b.forgotten()
			b.scripts(false)
			b.click("Send")
			b.sees("JavaScript is off")
			b.scripts(true) // for axe-core; the page's own stay away
		},
		"form-being-sent": func(b *tab) {
			b.write(w)
			b.stay(w.game + "/save*")
			b.signIn(demo.Name, demo.Password)
			b.sees("Sending what you wrote before…")
		},
		"form-of-another-user": func(b *tab) {
			b.begin(w)
			b.compose(`action="/save"`, `<input name="a" value="b">`)
			b.signOutElsewhere(w.game + "/oauth2/sign_out")
			b.click("Send")
			b.signIn(root.Name, root.Password)
			b.sees("Do you want to send it?")
		},
		"form-gone": func(b *tab) {
			b.begin(w)
			b.open(w.game + "/oauth2/send?form=AAAAAAAAAAAAAAAAAAAAAA&return=/play")
			b.sees(gone)
		},
		"popup": func(b *tab) {
			b.open(w.club + "/floor")
			b.sees("Sign in to Night club")
		},
		"popup-waiting": func(b *tab) {
			b.open(w.club + "/floor")
			b.opens(func() { b.click("Sign in") })
			b.sees("Finish signing in")
		},
		"popup-closed": func(b *tab) {
			b.open(w.club + "/floor")
			window := b.opens(func() { b.click("Sign in") })
			window.sees("Sign in")
			window.do("window.close()")
			b.sees("The window was closed before you had signed in.")
		},
		"popup-done": func(b *tab) {
			b.begin(w)
			b.beforeScripts("window.close = () => {}")
			b.open(w.club + "/oauth2/sign_in?popup=nonce&return=/floor")
			b.sees("You can close this window.", "Continue to Night club here")
		},
		"widget": func(b *tab) {
			b.begin(w)
			b.scripts(false)
			b.open(popupAuth(w))
			b.sees("Continue to Partner.")
			b.scripts(true) // for axe-core; the page's own stay away
		},
		"widget-handed-over": func(b *tab) {
			b.begin(w)
			b.beforeScripts(redeem(w) + "window.close = () => {}; window.opener = {postMessage: redeem}")
			b.open(popupAuth(w, "enable_post_message_login"))
			b.sees("You can close this window.")
		},
		"demo-backend": func(b *tab) {
			b.begin(w)
			b.open(w.game + "/demo?seed=4")
			b.sees("Hello, demo")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			visit(b)
			b.look(name)
		})
	}
}

// begin signs in.
func (b *tab) begin(w *world) {
	b.t.Helper()
	b.open(w.game + "/play")
	b.signIn(demo.Name, demo.Password)
	b.at(w.game + "/play")
}
