package gate

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// submission is what browsers send with a form of this site.
var submission = []string{
	"Accept", "text/html,application/xhtml+xml", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "same-origin",
	"Origin", siteOrigin, "Content-Type", urlEncoded, "Referer", siteOrigin + "/contact?topic=1#form",
}

// with changes headers, which are pairs.
func with(headers []string, change ...string) []string {
	return append(slices.Clip(headers), change...)
}

// send sends a form.
func (b *browser) send(path, body string, headers ...string) *httptest.ResponseRecorder {
	r := b.request(path)
	r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(body)), int64(len(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	return b.f.serve(r)
}

var keptAttributes = regexp.MustCompile(`data-(id|next|action|type|charset|fields|visitor)="([^"]*)"`)

// keptIn is what a page keeps of a form, by attribute, or nil.
func keptIn(w *httptest.ResponseRecorder) map[string]string {
	var kept map[string]string
	for _, m := range keptAttributes.FindAllStringSubmatch(w.Body.String(), -1) {
		if kept == nil {
			kept = map[string]string{}
		}
		kept[m[1]] = strings.ReplaceAll(m[2], "&amp;", "&")
	}
	return kept
}

func TestAFormWithoutASessionIsGivenBackToTheBrowserToKeep(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	w := b.send("/save?x=1&y", "a=b&c=%C3%A9", submission...)
	b.want(w, http.StatusUnauthorized)
	f.untouched()
	kept := keptIn(w)
	if kept["action"] != siteOrigin+"/save?x=1&y" || kept["type"] != urlEncoded || kept["charset"] != "utf-8" || kept["fields"] != "YQ.Yg Yw.w6k" {
		t.Fatalf("kept %v", kept)
	}
	if want := SendPath + "?form=" + kept["id"] + "&return=%2Fcontact%3Ftopic%3D1"; kept["next"] != want {
		t.Errorf("goes on to %q, want %q", kept["next"], want)
	}
	if !strings.Contains(w.Body.String(), `href="`+SignInPath+`?return=%2Fcontact%3Ftopic%3D1"`) {
		t.Errorf("there is no sign-in method without scripts: %s", w.Body)
	}
	if again := keptIn(b.send("/save", "a=b", submission...)); again["id"] == kept["id"] || len(kept["id"]) != 22 {
		t.Errorf("a form has the ID %q, the next %q", kept["id"], again["id"])
	}

	// Signing in leads to the page that sends it on.
	b.signIn(demo)
	w = b.open(kept["next"])
	b.want(w, http.StatusFound)
	w = b.open(b.portal(w.Header().Get("Location")))
	b.want(w, http.StatusFound)
	if got := w.Header().Get("Location"); got != siteOrigin+kept["next"] {
		t.Fatalf("came back to %q", got)
	}
	w = b.open(kept["next"])
	b.want(w, http.StatusOK)
	f.untouched()
	if body := w.Body.String(); !strings.Contains(body, `data-id="`+kept["id"]+`"`) || !strings.Contains(body, `href="`+siteOrigin+`/contact?topic=1"`) {
		t.Fatalf("the page: %s", body)
	}
	b.want(b.send("/save?x=1&y", "a=b", submission...), http.StatusOK)
	if f.called != 1 {
		t.Errorf("the upstream was called %d times", f.called)
	}
}

func TestAFormSaysWhoWasSignedInWhenItWasWritten(t *testing.T) {
	f := newFixture(t)
	bob := session.User{Subject: "2f0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "bob", Signin: "local"}
	f.users[bob.Subject] = bob
	visitor := func(w *httptest.ResponseRecorder) string { return keptIn(w)["visitor"] }
	// who signs in, and leaves no session behind.
	left := func(b *browser, u session.User) {
		sess := b.enter(u)
		if err := f.gate.Server.Sessions.End(t.Context(), sess.Key()); err != nil {
			t.Fatal(err)
		}
	}
	another := f.browser()
	if got := visitor(another.send("/save", "a=b", submission...)); got != "" {
		t.Errorf("a browser that nobody signed in with has %q", got)
	}
	another.keep(siteOrigin, f.gate.Sites[1].FormOwner.Name, `"><script>`)
	if got := visitor(another.send("/save", "a=b", submission...)); len(got) != 22 {
		t.Errorf("a word that is none of ours is %q", got)
	}
	b := f.browser()
	left(b, demo)
	kept := keptIn(b.send("/save", "a=b", submission...))
	if kept["visitor"] == "" || strings.Contains(kept["visitor"], demo.Subject) {
		t.Fatalf("kept %v", kept)
	}
	for _, tt := range []struct {
		user session.User
		same bool
	}{{demo, true}, {bob, false}} {
		delete(b.cookies[siteOrigin], f.gate.Sites[1].Cookie.Name)
		b.enter(tt.user)
		w := b.open(kept["next"])
		b.want(w, http.StatusOK)
		if got := visitor(w); got == "" || (got == kept["visitor"]) != tt.same {
			t.Errorf("%s is %q, and wrote as %q", tt.user.Name, got, kept["visitor"])
		}
		if !strings.Contains(w.Body.String(), "Send it as <bdi>"+tt.user.Name) {
			t.Errorf("it does not say as whom: %s", w.Body)
		}
	}
}

func TestClass22OnlyAFormOfTheSameOriginIsKept(t *testing.T) {
	for name, test := range map[string]struct {
		change []string
		kept   bool
	}{
		"by Fetch Metadata":                    {nil, true},
		"by Origin alone":                      {[]string{"Sec-Fetch-Site", "", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", ""}, true},
		"a page that sends no referrer":        {[]string{"Origin", "null", "Referer", ""}, true},
		"another site":                         {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
		"another site that says it is this":    {[]string{"Sec-Fetch-Site", "cross-site"}, false},
		"another origin of the site":           {[]string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:8082"}, false},
		"no page at all":                       {[]string{"Sec-Fetch-Site", "none"}, false},
		"a word that is none":                  {[]string{"Sec-Fetch-Site", "Same-Origin"}, false},
		"another origin, an old browser":       {[]string{"Sec-Fetch-Site", "", "Sec-Fetch-Mode", "", "Origin", "https://evil.example"}, false},
		"another scheme, an old browser":       {[]string{"Sec-Fetch-Site", "", "Sec-Fetch-Mode", "", "Origin", "https://localhost:8081"}, false},
		"the null origin, an old browser":      {[]string{"Sec-Fetch-Site", "", "Sec-Fetch-Mode", "", "Origin", "null"}, false},
		"neither, though Referer is this site": {[]string{"Sec-Fetch-Site", "", "Sec-Fetch-Mode", "", "Origin", ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			w := f.browser().send("/save", "amount=1000", with(submission, test.change...)...)
			wantStatus(t, w, http.StatusUnauthorized)
			f.untouched()
			if got := keptIn(w) != nil; got != test.kept {
				t.Fatalf("kept: %v; %s", got, w.Body)
			}
			if !test.kept && (!strings.Contains(w.Body.String(), "It came from another site") || strings.Contains(w.Body.String(), "<script") || strings.Contains(w.Body.String(), "1000")) {
				t.Errorf("the page: %s", w.Body)
			}
		})
	}
}

// failing is a body that ends before its time.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("gone") }
func (failing) Close() error             { return nil }

func TestWhatIsNotKeptIsSaidToBeLostAndWhy(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*Gate, *http.Request)
		says    string
	}{
		"as it is set":     {func(g *Gate, _ *http.Request) { g.Policy.DropForms = true }, "It is not kept while you sign in."},
		"a byte too big":   {func(_ *Gate, r *http.Request) { body(r, "a="+strings.Repeat("b", maxForm-1)) }, "It is too big"},
		"too big, unsaid":  {func(_ *Gate, r *http.Request) { body(r, "a="+strings.Repeat("b", maxForm-1)); r.ContentLength = -1 }, "It is too big"},
		"said to be big":   {func(_ *Gate, r *http.Request) { r.Body, r.ContentLength = failing{}, 1<<40 }, "It is too big"},
		"cut short":        {func(_ *Gate, r *http.Request) { r.Body = failing{} }, "It did not arrive complete."},
		"no form":          {func(_ *Gate, r *http.Request) { r.Header.Set("Content-Type", "application/json") }, "It is not kept"},
		"compressed":       {func(_ *Gate, r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, "It is not kept"},
		"a strange target": {func(_ *Gate, r *http.Request) { r.URL.RawQuery = `"` }, "It is not kept"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			r := f.browser().request("/save")
			r.Method = http.MethodPost
			for i := 0; i < len(submission); i += 2 {
				r.Header.Set(submission[i], submission[i+1])
			}
			body(r, "a=b")
			test.prepare(f.gate, r)
			w := f.serve(r)
			wantStatus(t, w, http.StatusUnauthorized)
			f.untouched()
			if keptIn(w) != nil || !strings.Contains(w.Body.String(), test.says) || !strings.Contains(w.Body.String(), `href="`+SignInPath+`?return=%2Fcontact%3Ftopic%3D1"`) {
				t.Fatalf("the page: %s", w.Body)
			}
		})
	}
}

func body(r *http.Request, s string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s)), int64(len(s))
}

func TestClass24AFormOfTheFullSizeIsKeptAndNotAByteMoreIsRead(t *testing.T) {
	f := newFixture(t)
	full := "a=" + strings.Repeat("b", maxForm-2)
	if keptIn(f.browser().send("/save", full, submission...)) == nil {
		t.Fatal("64 KiB are not kept")
	}
	r := f.browser().request("/save")
	r.Method, r.ContentLength = http.MethodPost, -1
	for i := 0; i < len(submission); i += 2 {
		r.Header.Set(submission[i], submission[i+1])
	}
	rest := strings.NewReader(strings.Repeat("b", 1<<20))
	r.Body = io.NopCloser(rest)
	f.serve(r)
	if read := 1<<20 - rest.Len(); read > maxForm+1 {
		t.Errorf("%d bytes were read", read)
	}
}

func TestWhatAScriptPostsIsNoForm(t *testing.T) {
	for name, change := range map[string][]string{
		"fetch":         {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		"a frame":       {"Sec-Fetch-Dest", "iframe"},
		"as it says":    {"X-Requested-With", "XMLHttpRequest"},
		"a WebSocket":   {"Upgrade", "websocket"},
		"an API client": {"Sec-Fetch-Mode", "", "Accept", "*/*"},
	} {
		f := newFixture(t)
		w := f.browser().send("/save", "a=b", with(submission, change...)...)
		if w.Code != http.StatusUnauthorized || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, %s", name, w.Code, w.Header().Get("Content-Type"))
		}
		f.untouched()
	}
}

func TestAFormMeetsAPageWhereItCannotPass(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	f.gate.Policy.Groups = []string{"staff"}
	w := b.send("/save", "a=b", submission...)
	b.want(w, http.StatusForbidden)
	if !strings.Contains(w.Body.String(), "You don’t have access") {
		t.Errorf("no access: %s", w.Body)
	}
	another := f.browser()
	another.keep(siteOrigin, f.gate.Sites[1].Cookie.Name, strings.Repeat("A", 43))
	f.store.Down(true)
	w = another.send("/save", "a=b", submission...)
	b.want(w, http.StatusServiceUnavailable) // a reload sends the form again
	if !strings.Contains(w.Body.String(), "reload the page") || keptIn(w) != nil {
		t.Errorf("an outage: %s", w.Body)
	}
}

func TestClass10AFormLeadsBackToAPageOfThisSiteOnly(t *testing.T) {
	for referrer, want := range map[string]string{
		siteOrigin + "/contact":        "/contact",
		siteOrigin + "/":               "/",
		siteOrigin:                     "/",
		"":                             "/",
		"javascript:alert(1)":          "/",
		"https://evil.example/contact": "/",
		siteOrigin + ".evil.example/":  "/",
		siteOrigin + "@evil.example/":  "/",
		siteOrigin + `/\evil.example`:  "/",
		siteOrigin + "/a\nb":           "/",
		siteOrigin + SendPath + "?form=x&return=/y":     "/",
		siteOrigin + SignOutPath:                        "/",
		siteOrigin + "/" + strings.Repeat("%41", 3<<10): "/",
		siteOrigin + "/" + strings.Repeat("é", 1500):    "/",
	} {
		f := newFixture(t)
		w := f.browser().send("/save", "a=b", with(submission, "Referer", referrer)...)
		wantStatus(t, w, http.StatusUnauthorized)
		next := parse(t, keptIn(w)["next"])
		if got := next.Query().Get("return"); got != want {
			t.Errorf("%.60q leads back to %.60q", referrer, got)
		}
		if !localPath(next.String()) {
			t.Errorf("%.60q makes an address that leads nowhere", referrer)
		}
	}
}

func TestThePageThatSendsOnAsksForASessionFirst(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	good := sendURL(randomID(), "/contact", time.Time{})
	for _, query := range []string{
		"", "?form=x&return=/", "?form=" + randomID(), "?return=/", "?form=" + randomID() + "&return=https://evil.example/", "?form=" + randomID() + "&return=javascript:alert(1)",
		"?form=" + url.QueryEscape(`"><script>alert(1)</script>`) + "&return=/",
	} {
		w := b.open(SendPath + query)
		b.want(w, http.StatusBadRequest)
		if strings.Contains(w.Body.String(), "evil") || strings.Contains(w.Body.String(), "alert") {
			t.Errorf("%s: %s", query, w.Body)
		}
	}
	b.want(b.send(good, "a=b", submission...), http.StatusMethodNotAllowed)
	b.want(b.do("GET", good), http.StatusUnauthorized)
	b.want(b.open(good), http.StatusFound)
	f.gate.Policy.Popup = true
	w := b.open(good)
	b.want(w, http.StatusUnauthorized)
	if !strings.Contains(w.Body.String(), "popup-sign-in") {
		t.Errorf("no page that opens a window: %s", w.Body)
	}
	f.gate.Policy.Popup = false
	b.enter(demo)
	b.want(b.open(good), http.StatusOK)
	b.want(b.do("GET", good, with(navigation, "Sec-Purpose", "prefetch;prerender")...), http.StatusUnauthorized)
	other := f.browser()
	other.keep(siteOrigin, f.gate.Sites[1].Cookie.Name, strings.Repeat("A", 43))
	f.store.Down(true)
	b.want(other.open(good), http.StatusServiceUnavailable)
	f.untouched()
}

func TestClass21AFormBecomesNoScript(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	f := newFixture(t)
	w := f.browser().send("/save?"+url.QueryEscape(evil), part(`name="`+url.QueryEscape(evil)+`"`, evil)+"--x--\r\n",
		with(submission, "Content-Type", ofX, "Referer", siteOrigin+"/"+evil)...)
	if keptIn(w) == nil || strings.Contains(w.Body.String(), "<script>") || strings.Contains(w.Body.String(), "alert(1)<") {
		t.Errorf("the page: %s", w.Body)
	}
}

func TestOnThePortalsOwnOriginAFormIsKeptAsWell(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.origin = portalOrigin
	kept := keptIn(b.send("/save", "a=b", with(submission, "Origin", portalOrigin)...))
	if kept["action"] != portalOrigin+"/save" {
		t.Fatalf("kept %v", kept)
	}
	sealed := parse(t, b.open(kept["next"]).Header().Get("Location")).Query().Get("return")
	if back, err := f.gate.Keys.Unseal(t.Context(), "return", sealed); err != nil || string(back) != kept["next"] {
		t.Fatalf("signing in leads to %q, %v", back, err)
	}
	b.signIn(demo)
	b.want(b.open("/x"), http.StatusOK)
	w := b.open(kept["next"])
	b.want(w, http.StatusOK)
	word := keptIn(w)["visitor"]

	// Who was there is known there, too.
	delete(b.cookies[portalOrigin], portalCookie(t).Name)
	if got := keptIn(b.send("/save", "a=b", with(submission, "Origin", portalOrigin)...))["visitor"]; word == "" || got != word {
		t.Errorf("written as %q, want %q", got, word)
	}
	bob := session.User{Subject: "2f0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "bob", Signin: "local"}
	f.users[bob.Subject] = bob
	b.signIn(bob)
	if got := keptIn(b.open(kept["next"]))["visitor"]; got == "" || got == word {
		t.Errorf("sent on as %q, written as %q", got, word)
	}
}
