package browser

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// compose puts a form into the page. Its button says Send.
func (b *tab) compose(attributes, fields string) {
	b.t.Helper()
	b.until("document.readyState === 'complete'")
	b.do("document.querySelector('main').innerHTML = " + quote(`<form method="post" `+attributes+`>`+fields+`<button>Send</button></form>`))
}

// forgotten signs the browser out, behind the back of the page that it is on.
func (b *tab) forgotten() {
	b.t.Helper()
	b.profile.clearCookies()
}

// attachFile chooses a file in the page.
const attachFile = `const d = new DataTransfer();
d.items.add(new File([new Uint8Array([0, 255, 10, 13, 34, 45, 45])], 'zpr\u00e1va "1" \u540d.bin', {type: 'image/png'}));
document.querySelector('input[type=file][name=f]').files = d.files`

func TestAFormComesThroughSigningInByteForByte(t *testing.T) {
	const fields = `<input name="b" value="1 &amp; 2=3+4 %41 ~*-._"><input name="a&quot;b&#10;c" value="&quot;'&lt;\">` +
		`<textarea name="text">` + "\nline one\nline two\n\n</textarea>" +
		`<input name="b" value="again"><input name="" value="x"><input name="empty"><input type="checkbox" name="on" checked>` +
		`<input type="hidden" name="lines" value="a&#13;b&#10;c&#13;&#10;d"><input type="hidden" name="_charset_"><input name="žluť" value="kůň € 名 ☃">`
	const files = fields + `<input type="file" name="f"><input type="file" name="none"><input name="last" value="z">`
	w := withTLS(t)
	for name, test := range map[string]struct{ attributes, fields, prepare string }{
		"urlencoded":                  {``, fields, ``},
		"urlencoded, windows-1252":    {`accept-charset="windows-1252"`, fields, ``},
		"urlencoded, Shift_JIS":       {`accept-charset="Shift_JIS"`, fields, ``},
		"urlencoded, all characters":  {`accept-charset="windows-1252"`, `<input name="all">`, `let s = ''; for (let i = 1; i < 0x180; i++) if (i !== 10 && i !== 13) s += String.fromCharCode(i); document.querySelector('[name=all]').value = s`},
		"nothing":                     {``, ``, ``},
		"text/plain":                  {`enctype="text/plain"`, fields, ``},
		"text/plain, windows-1252":    {`enctype="text/plain" accept-charset="windows-1252"`, fields, ``},
		"multipart":                   {`enctype="multipart/form-data"`, files, attachFile},
		"multipart, windows-1252":     {`enctype="multipart/form-data" accept-charset="windows-1252"`, files, attachFile},
		"multipart without any field": {`enctype="multipart/form-data"`, ``, ``},
		"the full size":               {``, `<textarea name="a"></textarea>`, `document.querySelector('textarea').value = 'b'.repeat(64 * 1024 - 2)`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.begin(w)
			path := "/save/" + url.PathEscape(name)
			send := func() {
				b.compose(fmt.Sprintf(`action=%q %s`, path+"?x=1&y#done", test.attributes), test.fields)
				if test.prepare != "" {
					b.do(test.prepare)
				}
				b.click("Send")
			}
			send()
			b.at(w.game + path + "?x=1&y#done")
			want := w.backend.saw(t, w.game, path+"?x=1&y")

			b.open(w.game + "/play")
			b.at(w.game + "/play")
			b.forgotten()
			send()
			b.sees("to continue to Demo game")
			b.signIn(demo.Name, demo.Password)
			b.at(w.game + path + "?x=1&y#done")
			b.sees("Hello, demo")
			if n := w.backend.count(w.game, path); n != 2 {
				t.Fatalf("the form arrived %d times", n)
			}
			got := w.backend.saw(t, w.game, path+"?x=1&y")
			if got.Method != "POST" || withoutBoundary(got) != withoutBoundary(want) {
				t.Errorf("the backend saw %s\n%q\nwant\n%q", got.Method, withoutBoundary(got), withoutBoundary(want))
			}
			if origin := got.Header.Get("Origin"); origin != w.game {
				t.Errorf("the backend saw Origin: %s", origin)
			}
			if referrer := got.Header.Get("Referer"); referrer != w.game+"/play" {
				t.Errorf("the backend saw Referer: %s", referrer)
			}
		})
	}
}

// withoutBoundary is the type and the body of a form, whose boundary is made
// again for each.
func withoutBoundary(r received) string {
	contentType := r.Header.Get("Content-Type")
	if _, boundary, found := strings.Cut(contentType, "boundary="); found {
		return strings.ReplaceAll(contentType+"\n"+r.body, boundary, "boundary")
	}
	return contentType + "\n" + r.body
}

// write sends a form from /play of the game without a session, as far as the
// sign-in page.
func (b *tab) write(w *world) {
	b.t.Helper()
	b.begin(w)
	b.compose(`action="/save"`, `<input name="a" value="b">`)
	b.forgotten()
	b.click("Send")
	b.sees("to continue to Demo game")
}

const gone = "What you wrote before is not here any more."

func TestAFormIsSentOnOnce(t *testing.T) {
	w := onLoopback(t)
	sent := func(t *testing.T, want int) {
		t.Helper()
		if n := w.backend.count(w.game, "/save"); n != want {
			t.Fatalf("the form arrived %d times, want %d", n, want)
		}
	}
	arrived := 0
	t.Run("going back and forth", func(t *testing.T) {
		b := newTab(t)
		b.write(w)
		b.signIn(demo.Name, demo.Password)
		b.at(w.game + "/save")
		b.sees("Hello, demo")
		arrived++
		sent(t, arrived)
		address := b.sendAddress(w)
		b.back()
		b.path(w.portal + "/sso/sign_in") // where signing in began, as without a form
		sent(t, arrived)
		b.open(address)
		b.sees(gone, "Check whether it arrived")
		b.click("Go back")
		b.at(w.game + "/play")
		sent(t, arrived)
	})
	t.Run("a reload of the page that sends it", func(t *testing.T) {
		b := newTab(t)
		b.write(w)
		b.stay(w.game + "/save*")
		b.signIn(demo.Name, demo.Password)
		b.sees("Sending what you wrote before…")
		b.letGo()
		b.open(b.sendAddress(w))
		b.sees(gone)
		sent(t, arrived)
	})
	t.Run("a tab that is duplicated before it is sent", func(t *testing.T) {
		b := newTab(t)
		b.write(w)
		window := b.opens(func() { b.do("window.open(location.href)") })
		window.signIn(demo.Name, demo.Password)
		window.at(w.game + "/save")
		arrived++
		b.open(window.sendAddress(w))
		b.front()
		b.sees(gone)
		sent(t, arrived)
	})
	t.Run("another tab", func(t *testing.T) {
		b := newTab(t)
		b.write(w)
		other := b.profile.tab()
		other.open(b.sendAddress(w))
		other.signIn(demo.Name, demo.Password)
		other.sees(gone)
		sent(t, arrived)
		b.front()
		b.signIn(demo.Name, demo.Password)
		b.at(w.game + "/save")
		arrived++
		sent(t, arrived)
	})
	t.Run("one of another user", func(t *testing.T) {
		b := newTab(t)
		b.begin(w)
		b.compose(`action="/save"`, `<input name="a" value="b">`)
		b.signOutElsewhere(w.game + "/oauth2/sign_out")
		b.click("Send")
		b.signIn(root.Name, root.Password)
		b.sees("This form was filled in while another user was signed in", "Send it as "+root.Name)
		sent(t, arrived)
		b.do("location.reload()")
		b.sees("Do you want to send it?")
		b.click("Send it as " + root.Name)
		b.at(w.game + "/save")
		b.sees("Hello, " + root.Name)
		arrived++
		sent(t, arrived)
	})
	t.Run("of the same person, who signed out in another tab", func(t *testing.T) {
		b := newTab(t)
		b.begin(w)
		b.compose(`action="/save"`, `<input name="a" value="b">`)
		b.signOutElsewhere(w.game + "/oauth2/sign_out")
		b.click("Send")
		b.signIn(demo.Name, demo.Password)
		b.at(w.game + "/save")
		arrived++
		sent(t, arrived)
	})
	t.Run("one that is an hour old", func(t *testing.T) {
		b := newTab(t)
		b.write(w)
		b.beforeScripts("const now = Date.now; Date.now = () => now() + 61 * 60 * 1000")
		b.signIn(demo.Name, demo.Password)
		b.sees(gone)
		sent(t, arrived)
	})
}

// signOutElsewhere signs out in another tab.
func (b *tab) signOutElsewhere(page string) {
	b.t.Helper()
	other := b.profile.tab()
	other.open(page)
	other.click("Sign out")
	other.sees("signed out")
	b.front()
}

// front shows the tab: what is behind another is not drawn.
func (b *tab) front() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, page.BringToFront, cdp.Empty{}); err != nil {
		b.t.Fatal(err)
	}
}

// sendAddress is that of the page that sends the form on.
func (b *tab) sendAddress(w *world) string {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.documents {
		if strings.HasPrefix(d.url, w.game+"/oauth2/send?") {
			return d.url
		}
	}
	b.t.Fatal("the tab was at no page that sends a form on")
	return ""
}

func TestAFormThatTheBackendAnswersWithARedirectIsFollowedAnywhere(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.begin(w)
	away := w.elsewhere + "/arrived?x=1"
	b.compose(fmt.Sprintf("action=%q", "/leads-away?next="+url.QueryEscape(away)), `<input name="a" value="b">`)
	b.forgotten()
	b.click("Send")
	b.signIn(demo.Name, demo.Password)
	b.at(away)
}

func TestAFormComesThroughSigningInInAWindow(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.club + "/floor")
		b.click("Sign in without a new window")
		b.signIn(demo.Name, demo.Password)
		b.at(w.club + "/floor")
		b.compose(`action="/save?x=1#done"`, `<input name="a" value="b">`)
		b.forgotten()
		b.click("Send")
		b.sees("Sign in to Night club")
		window := b.opens(func() { b.click("Sign in") })
		window.signIn(demo.Name, demo.Password)
		b.at(w.club + "/save?x=1#done")
		b.sees("Hello, demo")
		window.closed()
		if got := w.backend.saw(t, w.club, "/save?x=1"); got.Method != "POST" || got.body != "a=b" || w.backend.count(w.club, "/save") != 1 {
			t.Errorf("the backend saw %s %q", got.Method, got.body)
		}
	})
}

func TestAFormOnThePortalsOwnOriginComesThrough(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.open(w.portal + "/private/page")
	b.signIn(demo.Name, demo.Password)
	b.at(w.portal + "/private/page")
	b.compose(`action="/private/save"`, `<input name="a" value="b">`)
	b.forgotten()
	b.click("Send")
	b.signIn(demo.Name, demo.Password)
	b.at(w.portal + "/private/save")
	if got := w.backend.saw(t, w.portal, "/private/save"); got.body != "a=b" {
		t.Errorf("the backend saw %q", got.body)
	}
}

func TestWithoutJavaScriptAPageSaysThatAFormIsLost(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.begin(w)
	b.compose(`action="/save"`, `<input name="a" value="b">`)
	b.forgotten()
	b.scripts(false)
	b.click("Send")
	b.sees("Sign in to send this", "did not reach Demo game", "JavaScript is off", "fill in the form again")
	b.status(401)
	b.click("Sign in")
	b.signIn(demo.Name, demo.Password)
	b.at(w.game + "/play") // the page of the form
	if n := w.backend.count(w.game, "/save"); n != 0 {
		t.Errorf("the form arrived %d times", n)
	}
}

func TestWhereNothingMayBeStoredAPageSaysThatAFormIsLost(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.begin(w)
	b.beforeScripts("Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('no', 'SecurityError') }})")
	b.compose(`action="/save"`, `<input name="a" value="b">`)
	b.forgotten()
	b.click("Send")
	b.sees("Sign in to send this", "may not store anything")
}

// The session cookie stays away from such a form, though someone is signed in.
func TestClass22AFormOfAnotherSiteIsNeverSentOn(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.begin(w)
	b.open(w.elsewhere + "/evil")
	b.at(w.elsewhere + "/evil")
	b.compose(fmt.Sprintf("action=%q", w.game+"/save"), `<input name="amount" value="1000">`)
	b.click("Send")
	b.sees("Sign in to send this", "It came from another site")
	b.click("Sign in")
	b.at(w.game + "/")
	b.sees("Hello, demo")
	if n := w.backend.count(w.game, "/save"); n != 0 {
		t.Errorf("the form arrived %d times", n)
	}
}

// What is too big to be kept is not read either, and the page arrives all the
// same.
func TestAFormThatIsTooBigMeetsAPageThatSaysSo(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		for name, size := range map[string]int{"by a byte": 64<<10 - 1, "by megabytes": 8 << 20} {
			t.Run(name, func(t *testing.T) {
				b := newTab(t)
				b.begin(w)
				b.compose(`action="/save"`, `<input type="hidden" name="a">`)
				b.do(fmt.Sprintf("document.querySelector('[name=a]').value = 'b'.repeat(%d)", size))
				b.forgotten()
				b.click("Send")
				b.sees("Sign in to send this", "It is too big to be kept while you sign in.")
				if n := w.backend.count(w.game, "/save"); n != 0 {
					t.Errorf("the form arrived %d times", n)
				}
			})
		}
	})
}
