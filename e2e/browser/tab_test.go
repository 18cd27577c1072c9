package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to become what a test waits for.
const patience = time.Minute

// A profile is a browser with cookies of its own.
type profile struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the browser context in it
}

func newProfile(t *testing.T) *profile {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browserOf(t), chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("opening a profile: %v", err)
	}
	return &profile{t: t, ctx: ctx}
}

// newTab opens a tab of a new profile.
func newTab(t *testing.T) *tab { return newProfile(t).tab() }

// tab opens a tab.
func (p *profile) tab() *tab {
	p.t.Helper()
	return p.attach()
}

// attach tries again where a window that has just opened changes to the process
// of another site at that very moment, which ends what was asked of the first.
func (p *profile) attach(options ...chromedp.ContextOption) *tab {
	p.t.Helper()
	for again := 10; ; again-- {
		ctx, cancel := chromedp.NewContext(p.ctx, options...)
		b := &tab{t: p.t, profile: p, ctx: ctx}
		err := chromedp.Do(ctx)
		if err == nil {
			err = chromedp.Listen(ctx, b.watch)
		}
		if err == nil {
			_, err = chromedp.Call(ctx, audits.Enable, cdp.Empty{})
		}
		p.t.Cleanup(cancel)
		switch {
		case err == nil:
			p.t.Cleanup(b.check)
			return b
		case again == 0 || !strings.Contains(err.Error(), "Inspected target navigated or closed") && !strings.Contains(err.Error(), "No target with given id found"):
			p.t.Fatalf("opening a tab: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cookies are all that the profile has.
func (p *profile) cookies() []*network.Cookie {
	p.t.Helper()
	r, err := chromedp.CallBrowser(p.ctx, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: p.id()})
	if err != nil {
		p.t.Fatalf("reading the cookies: %v", err)
	}
	return r.Cookies
}

func (p *profile) clearCookies() {
	p.t.Helper()
	if _, err := chromedp.CallBrowser(p.ctx, storage.ClearCookies, storage.ClearCookiesParams{BrowserContextID: p.id()}); err != nil {
		p.t.Fatalf("deleting the cookies: %v", err)
	}
}

func (p *profile) id() cdp.BrowserContextID { return chromedp.FromContext(p.ctx).BrowserContextID }

// A tab is one page of a profile. Whatever the browser reports of it that is
// not as it should be fails the test.
type tab struct {
	t       *testing.T
	profile *profile
	ctx     context.Context //nolint:containedctx // chromedp keeps the tab in it
	record
}

// opens returns the window that something done in this tab opens.
func (b *tab) opens(trigger func()) *tab {
	b.t.Helper()
	self := chromedp.FromContext(b.ctx).Target.TargetID
	opened := chromedp.WaitNewTarget(b.ctx, func(i *target.Info) bool {
		return i.Type == "page" && i.OpenerID == self // each tab is told of the windows of all
	})
	trigger()
	select {
	case id, ok := <-opened:
		if !ok {
			b.t.Fatal("the tab is gone")
		}
		return b.profile.attach(chromedp.WithTargetID(id))
	case <-time.After(patience):
		b.fatalf("no window opened")
	}
	return nil
}

// closed waits until the window has closed itself.
func (b *tab) closed() {
	b.t.Helper()
	id := chromedp.FromContext(b.ctx).Target.TargetID
	b.wait("window to close", func() bool {
		targets, err := chromedp.Targets(b.profile.ctx)
		if err != nil {
			return false
		}
		for _, i := range targets {
			if i.TargetID == id {
				return false
			}
		}
		return true
	})
}

// open goes to an address. Where that ends is for the test to wait for.
func (b *tab) open(url string) {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, page.Navigate, page.NavigateParams{URL: url})
	if err != nil || r.ErrorText != "" {
		b.t.Fatalf("opening %s: %v %s", url, err, r.ErrorText)
	}
}

// back is the back button, which needs no script of the page.
func (b *tab) back() {
	b.t.Helper()
	history, err := chromedp.Call(b.ctx, page.GetNavigationHistory, cdp.Empty{})
	if err == nil && history.CurrentIndex == 0 {
		b.fatalf("there is no page to go back to")
	}
	if err == nil {
		_, err = chromedp.Call(b.ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[history.CurrentIndex-1].ID})
	}
	if err != nil {
		b.fatalf("going back: %v", err)
	}
}

// try evaluates an expression, as someone at the console would: the page's
// Content-Security-Policy does not apply.
func try[T any](b *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := try[T](b, expression)
	if err != nil {
		b.fatalf("evaluating %s: %v", expression, err)
	}
	return v
}

// do runs statements.
func (b *tab) do(statements string) {
	b.t.Helper()
	eval[bool](b, "(() => {"+statements+"; return true})()")
}

// until waits for an expression to become true; the page may change meanwhile.
func (b *tab) until(expression string) {
	b.t.Helper()
	b.wait(expression, func() bool {
		ok, err := try[bool](b, "Boolean("+expression+")")
		return err == nil && ok
	})
}

func (b *tab) wait(what string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			b.fatalf("waited in vain for %s", what)
		}
		time.Sleep(15 * time.Millisecond)
	}
}

// at waits for the page at an address to be complete.
func (b *tab) at(url string) {
	b.t.Helper()
	b.until("location.href === " + quote(url) + " && document.readyState === 'complete'")
}

// path waits for the page at a path, whatever its query.
func (b *tab) path(url string) {
	b.t.Helper()
	b.until("location.origin + location.pathname === " + quote(url) + " && document.readyState === 'complete'")
}

// sees waits for words on the page, as a person reads them.
func (b *tab) sees(words ...string) {
	b.t.Helper()
	for _, w := range words {
		b.until("document.readyState === 'complete' && document.body.innerText.replace(/\\s+/g, ' ').includes(" + quote(w) + ")")
	}
}

func (b *tab) seesNot(words string) {
	b.t.Helper()
	if strings.Contains(b.text(), words) {
		b.fatalf("the page says %q", words)
	}
}

func (b *tab) text() string { return eval[string](b, "document.body.innerText.replace(/\\s+/g, ' ')") }
func (b *tab) url() string  { return eval[string](b, "location.href") }

// click presses the visible button or link with a text, with the mouse.
func (b *tab) click(text string) {
	b.t.Helper()
	b.clickOn(labelled(text))
}

// labelled is the visible button or link with a text.
func labelled(text string) string {
	return "[...document.querySelectorAll('a, button')].find(e => e.innerText.trim() === " + quote(text) + " && e.checkVisibility({visibilityProperty: true}))"
}

func (b *tab) clickOn(expression string) {
	b.t.Helper()
	x, y := b.spot(expression)
	if err := chromedp.Do(b.ctx, chromedp.MouseClickXY(x, y)); err != nil {
		b.fatalf("clicking on %s: %v", expression, err)
	}
}

// spot waits for an element, and returns where the mouse finds it.
func (b *tab) spot(expression string) (x, y float64) {
	b.t.Helper()
	var at []float64
	b.wait(expression, func() bool {
		v, err := try[[]float64](b, "(() => { const e = "+expression+"; if (!e || document.readyState !== 'complete') return []; e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()")
		at = v
		return err == nil && len(v) == 2
	})
	return at[0], at[1]
}

// fill types into a field.
func (b *tab) fill(id, value string) {
	b.t.Helper()
	b.until("document.readyState === 'complete' && document.getElementById(" + quote(id) + ")")
	b.do("const f = document.getElementById(" + quote(id) + "); f.focus(); f.select()")
	b.insert(value)
}

func (b *tab) insert(text string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		b.fatalf("typing: %v", err)
	}
}

func (b *tab) press(key string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.KeyEvent(key)); err != nil {
		b.fatalf("pressing %q: %v", key, err)
	}
}

// signIn fills in the hosted page and sends it.
func (b *tab) signIn(name, password string) {
	b.t.Helper()
	b.fill("username", name)
	b.fill("password", password)
	b.click("Sign in")
}

func (b *tab) fatalf(format string, args ...any) {
	b.t.Helper()
	where, _ := try[string](b, "location.href + '\\n' + document.body.innerText")
	picture := filepath.Join(outDir(b.t), "failed-"+strings.ReplaceAll(b.t.Name(), "/", "-")+".png")
	if png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot()); err == nil {
		_ = os.WriteFile(picture, png, 0o600)
	}
	b.t.Fatalf("%s\nthe page is %s\nit came by\n%s", fmt.Sprintf(format, args...), where, strings.Join(b.trail(), "\n"))
}

func quote(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(q)
}

// blockCookies has the browser send no cookie to a site, as if it kept none.
func (b *tab) blockCookies(origin string) {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(event any) {
		paused, ok := event.(*fetch.EventRequestPaused)
		if !ok {
			return
		}
		kept := make([]*fetch.HeaderEntry, 0, len(paused.Request.Headers)+1)
		for name, value := range paused.Request.Headers {
			if !strings.EqualFold(name, "Cookie") {
				kept = append(kept, &fetch.HeaderEntry{Name: name, Value: fmt.Sprint(value)})
			}
		}
		kept = append(kept, &fetch.HeaderEntry{Name: "Cookie", Value: "none=1"})
		go func() { // not in the loop that reads the browser's messages
			_, _ = chromedp.Call(b.ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: paused.RequestID, Headers: kept})
		}()
	})
	if err == nil {
		_, err = chromedp.Call(b.ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: origin + "/*"}}})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
