package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// Browsers hold all that follows the answer of a form against the form-action
// of the page that it was on, which can know nothing of a third origin.
func TestAPageThatLeadsToAnotherOriginIsFollowedThereAfterSigningIn(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		away := w.elsewhere + "/arrived?x=1"
		b.open(w.game + "/leads-away?next=" + url.QueryEscape(away))
		b.path(w.portal + "/sso/sign_in")
		b.signIn(demo.Name, demo.Password)
		b.at(away)
		b.sees("Backend")

		b.back()
		b.path(w.portal + "/sso/sign_in")
		b.sees("You’re signed in", "Continue to Demo game")
		b.click("Continue to Demo game")
		b.at(away)
	})
}

// What is registered may lead on as well.
func TestSigningOutByAFormLeadsToARegisteredAddressAndFromThereAnywhere(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		away := w.elsewhere + "/arrived?x=1"
		signOut := w.game + "/oauth2/sign_out?return=" + url.QueryEscape(w.partner+"/leads-away?next="+url.QueryEscape(away))
		for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
			t.Run(name, func(t *testing.T) {
				b := newTab(t)
				b.begin(w)
				b.scripts(scripts)
				b.open(signOut)
				b.sees("Demo game asks to sign you out.")
				b.click("Sign out")
				b.at(away)

				b.back()
				b.path(w.portal + "/sso/sign_out") // nobody is signed in any more
				b.sees("You’re signed out")
			})
		}
	})
}

// The buttons of other pages sign out as well.
func TestSigningOutOnAnyPageStaysWithinItsPolicy(t *testing.T) {
	w := withTLS(t)
	for name, start := range map[string]string{
		"a page without access": w.staff + "/files", "the account": w.portal + "/sso/account", "the question": w.portal + "/sso/sign_out",
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.begin(w)
			b.open(start)
			if got := b.last().headers["content-security-policy"]; !strings.Contains(got, "; form-action 'self';") {
				t.Errorf("the policy is %q", got)
			}
			b.click("Sign out")
			b.path(w.portal + "/sso/sign_out")
			b.sees("You’re signed out")
		})
	}
}

// Without a refresh, someone who looks at the page in between has a button.
func TestTheButtonOfThePageInBetweenLeadsOn(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.open(w.game + "/play?level=3")
	b.path(w.portal + "/sso/sign_in")
	b.stay(w.portal + "/api/oauth2/auth*")
	b.signIn(demo.Name, demo.Password)
	b.sees("You’re signed in", "Taking you to Demo game…")
	b.until("document.activeElement.innerText === 'Continue'")
	b.focusShows()
	b.letGo()
	b.click("Continue")
	b.at(w.game + "/play?level=3")
	b.sees("Hello, demo")
	b.back()
	b.path(w.portal + "/sso/sign_in")
}

// Chromium's reading of the page, held against its reading of the URL itself.
func TestThePageInBetweenLeadsToExactlyItsURL(t *testing.T) {
	pages, err := page.New(page.Brand{}, page.Options{Failed: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{
		"/plain?a=b&amp;c=d&copy=1",
		"/it's/here",
		`/?q="quoted"&r='single'`,
		`/"`, "/'", `/x"`, "/x'",
		"/a;b;url=c,d?e;f=g",
		"/two words?and=more of them",
		"/žluťoučký/kůň?名=値#部",
		"/?next=https://other.example/?url='x'",
		"/?a=<script>&b=</meta>&quot;&lt",
		"/100%25?a=%27%22%3B+%20",
		"/`{|}^[]~?`{|}^[]~",
		"//other.example/",
	}
	var origin string
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/between":
			i, err := strconv.Atoi(r.URL.Query().Get("i"))
			if err != nil || i >= len(paths) {
				t.Errorf("no page %s", r.URL)
				return
			}
			pages.Continue(w, r, page.Continue{Title: page.DoneSignedIn, URL: origin + paths[i]})
		case strings.HasPrefix(r.URL.Path, page.DefaultAssetPrefix):
			pages.Assets().ServeHTTP(w, r)
		case r.URL.Path == "/favicon.ico":
			w.WriteHeader(http.StatusNoContent)
		default:
			select {
			case asked <- r.RequestURI:
			default:
				t.Errorf("%s was asked for, too", r.RequestURI)
			}
			fmt.Fprint(w, "<!doctype html><title>here</title>") //nolint:errcheck // the browser went away
		}
	}))
	t.Cleanup(server.Close)
	origin = server.URL
	b := newTab(t)
	for i, path := range paths {
		b.open(fmt.Sprintf("%s/between?i=%d", origin, i))
		b.until("document.title === 'here' && location.href === new URL(" + quote(origin+path) + ").href")
		uri := <-asked
		if want := eval[string](b, "(u => u.pathname + u.search)(new URL("+quote(origin+path)+"))"); uri != want {
			t.Errorf("%s: the server was asked for %s, want %s", path, uri, want)
		}
	}
}

// stay answers what leads to an address with 204, so that the page before stays.
func (b *tab) stay(pattern string) {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(event any) {
		if paused, ok := event.(*fetch.EventRequestPaused); ok {
			go func() { // not in the loop that reads the browser's messages
				_, _ = chromedp.Call(b.ctx, fetch.FulfillRequest, fetch.FulfillRequestParams{RequestID: paused.RequestID, ResponseCode: http.StatusNoContent})
			}()
		}
	})
	if err == nil {
		_, err = chromedp.Call(b.ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern}}})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// letGo ends what stay began.
func (b *tab) letGo() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, fetch.Disable, cdp.Empty{}); err != nil {
		b.t.Fatal(err)
	}
}
