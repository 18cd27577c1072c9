package portal_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/portal"
)

func TestSigningInLeadsOnToWhatItWasFor(t *testing.T) {
	f := newFixture(t)
	sealed, err := f.hosted.Keys.Seal(t.Context(), portal.ReturnLabel, []byte("/x?y=z"))
	if err != nil {
		t.Fatal(err)
	}
	for target, to := range map[string]string{
		portal.SignInPath: portal.AccountPath,
		portal.SignInPath + "?" + portal.ReturnParam + "=" + sealed: issuer + "/x?y=z",
		portal.RedirectToSignIn("", authorization):                  "/api/oauth2/auth?" + authorization,
		portal.RedirectToSignIn("", authorization) + "&projectId":   "/api/oauth2/auth?" + authorization + "&projectId",
		// A parameter of the application's own, which has our parameter's name.
		portal.RedirectToSignIn("", authorization) + "&return=home": "/api/oauth2/auth?" + authorization + "&return=home",
	} {
		b := f.visitor()
		w := b.open(target)
		want(t, w, http.StatusOK)
		w = b.submit(b.form(w), "demo", "demo password")
		want(t, w, http.StatusOK)
		if got := leadsTo(w); got != to {
			t.Errorf("%s led to %q, expected %q", target, got, to)
		}
		wantText(t, w, "You’re signed in", `href="`+html.EscapeString(to)+`"`)
		if strings.Contains(to, "client_id") {
			wantText(t, w, "Taking you to", "Demo game")
		}
		// With a redirect, a browser would hold what follows against the policy
		// of the page with the form, which can know nothing of other origins.
		if h := w.Header(); h.Get("Location") != "" || h.Get("Refresh") != "" || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("headers %v", h)
		}
		if got := f.who(b.session()); got != "demo" {
			t.Errorf("%q is signed in", got)
		}
	}
}

func TestThePageNamesTheApplicationAndWhatItAsksFor(t *testing.T) {
	f := newFixture(t)
	w := f.visitor().open(portal.RedirectToSignIn("", authorization))
	wantText(t, w, "Demo game", "e-mail")
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self';") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("policy %q", csp)
	}
	for query, status := range map[string]int{
		"client_id=2": http.StatusNotFound, "client_id=1": http.StatusBadRequest, "client_id=": http.StatusBadRequest, "%zz": http.StatusBadRequest,
		strings.Replace(authorization, "game.example", "evil.example", 1): http.StatusBadRequest,
	} {
		w := f.visitor().open(portal.SignInPath + "?" + query)
		if w.Code != status || strings.Contains(w.Body.String(), "<form") || strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%s: status %d: %s", query, w.Code, w.Body)
		}
	}
}

func TestClass10AReturnIsAPathOfThisOriginOnly(t *testing.T) {
	f := newFixture(t)
	sealed := func(signInContext, to string) string {
		s, err := f.hosted.Keys.Seal(t.Context(), signInContext, []byte(to))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, to := range []string{"/x", "//evil.example", "https://evil.example/", "javascript:alert(1)", sealed("widget", "/x"), sealed(portal.ReturnLabel, "/x")[1:]} {
		want(t, f.visitor().open(portal.SignInPath+"?"+url.Values{portal.ReturnParam: {to}}.Encode()), http.StatusBadRequest)
	}
	for _, to := range []string{"//evil.example/", "/@evil.example", "/http://evil.example"} {
		b := f.visitor()
		w := b.submit(b.form(b.open(portal.ReturnTo("", sealed(portal.ReturnLabel, to)))), "demo", "demo password")
		if got := leadsTo(w); got != issuer+to {
			t.Errorf("%q led to %q", to, got)
		}
		wantText(t, b.open(portal.ReturnTo("", sealed(portal.ReturnLabel, to))), `href="`+issuer+to+`"`)
	}
}

func TestAWrongPasswordSaysWhatToDoAndKeepsTheName(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	w := b.submit(b.form(b.open(portal.RedirectToSignIn("", authorization))), "demo", "wrong")
	want(t, w, http.StatusUnauthorized)
	wantText(t, w, "User name or password is wrong", "Check both and try again.", `value="demo"`, "Demo game")
	if strings.Contains(w.Body.String(), `value="wrong"`) {
		t.Error("the page has the password in it")
	}
	w = b.submit(b.form(w), "demo", "demo password")
	if got := leadsTo(w); got != "/api/oauth2/auth?"+authorization {
		t.Fatalf("led to %q", got)
	}
}

func TestClass15ACookieFromBeforeNeverBecomesTheSession(t *testing.T) {
	f := newFixture(t)
	planted := strings.Repeat("A", 43)
	b := f.visitor()
	b.cookies[f.hosted.Session.Name] = planted
	want(t, b.try("demo", "demo password"), http.StatusOK)
	first := b.session()
	if first == planted || f.who(planted) != "" || f.who(first) != "demo" {
		t.Fatalf("the cookie is %q, and stands for %q", first, f.who(first))
	}
	want(t, b.try("demo", "demo password"), http.StatusOK)
	if second := b.session(); second == first || f.who(second) != "demo" {
		t.Fatal("a second sign-in kept the token")
	}
	if f.who(first) != "" {
		t.Fatal("the session that was replaced goes on, and nobody can sign out of it")
	}
}

func TestClass15SwitchingTheUserEndsTheOldSession(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	b.try("demo", "demo password")
	old := b.session()
	w := b.open(portal.SignInPath + "?switch=1")
	wantText(t, w, "You are signed in as", "demo")
	want(t, b.submit(b.form(w), "ann", "ann password"), http.StatusOK)
	if f.who(old) != "" || f.who(b.session()) != "Ann" {
		t.Fatalf("the old session: %q, the new one: %q", f.who(old), f.who(b.session()))
	}
	b.try("demo", "wrong")
	if f.who(b.session()) != "Ann" {
		t.Fatal("a failed sign-in ended the session")
	}
}

// Each of these is asked again, with the name kept; none is a dead end.
func TestFormsThatCannotBeTakenAskAgain(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*fixture, *visitor, form) form
		status  int
		text    string
	}{
		"open for too long": {func(f *fixture, _ *visitor, in form) form {
			f.clock.Advance(portal.TransactionLifetime + 2*time.Second)
			return in
		}, http.StatusBadRequest, "This page was open for too long"},
		"from a clock that is ahead": {func(f *fixture, _ *visitor, in form) form {
			f.clock.Advance(-2 * time.Minute)
			return in
		}, http.StatusBadRequest, "This page was open for too long"},
		"sent before": {func(_ *fixture, b *visitor, in form) form {
			want(b.f.t, b.submit(in, "demo", "demo password"), http.StatusOK)
			return in
		}, http.StatusConflict, "This form was sent before"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.visitor()
			in := test.prepare(f, b, b.form(b.open(portal.RedirectToSignIn("", authorization))))
			before := b.session()
			w := b.submit(in, "demo", "demo password")
			want(t, w, test.status)
			wantText(t, w, test.text, "Enter your password again.", `value="demo"`)
			if b.session() != before {
				t.Fatal("the form was taken")
			}
			w = b.submit(b.form(w), "demo", "demo password")
			if got := leadsTo(w); got != "/api/oauth2/auth?"+authorization {
				t.Fatalf("led to %q", got)
			}
		})
	}
}

// Another site that has its own transaction and password cannot sign a visitor
// in as itself.
func TestClass22AFormOfAnotherBrowser(t *testing.T) {
	for name, test := range map[string]struct {
		headers []string
		status  int
		taken   bool
	}{
		"this origin, says the browser":        {[]string{"Sec-Fetch-Site", "same-origin", "Origin", issuer}, http.StatusOK, true},
		"a browser that does not say":          {[]string{"Origin", issuer}, http.StatusBadRequest, false},
		"no browser at all":                    {[]string{"User-Agent", "curl"}, http.StatusBadRequest, false},
		"typed":                                {[]string{"Sec-Fetch-Site", "none"}, http.StatusBadRequest, false},
		"another site":                         {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, http.StatusForbidden, false},
		"a sibling domain":                     {[]string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden, false},
		"another site, an old browser":         {[]string{"Origin", "https://evil.example"}, http.StatusForbidden, false},
		"another port":                         {[]string{"Origin", "http://localhost:8081"}, http.StatusForbidden, false},
		"an opaque origin":                     {[]string{"Origin", "null"}, http.StatusForbidden, false},
		"X-Forwarded-Host makes no origin":     {[]string{"Origin", "https://evil.example", "X-Forwarded-Host", "evil.example"}, http.StatusForbidden, false},
		"a Referer of ours makes no origin":    {[]string{"Origin", "null", "Referer", issuer + portal.SignInPath}, http.StatusForbidden, false},
		"a script's header makes no origin":    {[]string{"Origin", "https://evil.example", "X-Requested-With", "XMLHttpRequest"}, http.StatusForbidden, false},
		"an image's word for it is not enough": {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "image"}, http.StatusForbidden, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			attacker, victim := f.visitor(), f.visitor()
			victim.open(portal.SignInPath)
			in := attacker.form(attacker.open(portal.SignInPath))
			w := victim.submit(in, "demo", "demo password", test.headers...)
			want(t, w, test.status)
			if (victim.session() != "") != test.taken {
				t.Fatalf("taken: %v", !test.taken)
			}
			if test.status == http.StatusBadRequest {
				wantText(t, w, "Enter your password again.", `value="demo"`)
				want(t, victim.submit(victim.form(w), "demo", "demo password", test.headers...), http.StatusOK)
			}
		})
	}
}

func TestTwentyTabsAllFinish(t *testing.T) {
	for name, atOnce := range map[string]bool{"one after the other": false, "opened at once in a fresh profile": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.visitor()
			forms := make([]form, 20)
			for i := range forms {
				if atOnce {
					b.cookies = map[string]string{} // the page was asked for before any answer came
				}
				forms[i] = b.form(b.open(portal.RedirectToSignIn("", authorization)))
			}
			for i, in := range forms {
				w := b.submit(in, "demo", "demo password")
				if got := leadsTo(w); got != "/api/oauth2/auth?"+authorization {
					t.Fatalf("tab %d: status %d: %s", i, w.Code, w.Body)
				}
			}
		})
	}
}

func TestOneFormSentAtOnceIsTakenOnce(t *testing.T) {
	f := newFixture(t)
	first := f.visitor()
	in := first.form(first.open(portal.SignInPath))
	statuses := make(chan int, 8)
	var all sync.WaitGroup
	for range cap(statuses) {
		b := f.visitor()
		b.cookies[f.hosted.Browser.Name] = first.cookies[f.hosted.Browser.Name]
		all.Go(func() { statuses <- b.submit(in, "demo", "demo password").Code })
	}
	all.Wait()
	close(statuses)
	taken := 0
	for status := range statuses {
		if status == http.StatusOK {
			taken++
		} else if status != http.StatusConflict {
			t.Errorf("status %d", status)
		}
	}
	if taken != 1 {
		t.Fatalf("taken %d times", taken)
	}
}

func TestBlockedCookiesAreNamed(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	in := b.form(b.open(portal.RedirectToSignIn("", authorization)))
	for _, value := range []string{"", "x", strings.Repeat("A", 5000), in.transaction} {
		b.cookies = map[string]string{}
		if value != "" {
			b.cookies[f.hosted.Browser.Name] = value
		}
		w := b.submit(in, "demo", "demo password")
		want(t, w, http.StatusBadRequest)
		wantText(t, w, "Your browser blocks cookies", "Allow cookies for this site", "Start again")
		if b.session() != "" {
			t.Fatal("signed in")
		}
	}
}

func TestTamperedAndMissingTransactionsStartAgain(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	in := b.form(b.open(portal.SignInPath))
	other, err := f.hosted.Keys.Seal(t.Context(), portal.ReturnLabel, []byte(`{"i":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, transaction := range []string{"", "x", changed(in.transaction, 30), in.transaction[1:], in.transaction + "A", other, "\x00\xff", b.cookies[f.hosted.Browser.Name]} {
		w := b.submit(form{in.action, transaction}, "demo", "demo password")
		want(t, w, http.StatusBadRequest)
		wantText(t, w, "Start again", `href="`+portal.SignInPath)
		if b.session() != "" || len(f.work.Take()) > 0 {
			t.Fatalf("%q was taken", transaction)
		}
	}
}

func TestBodiesThatCannotBeReadAreRefused(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	in := b.form(b.open(portal.SignInPath))
	want(t, b.submit(in, "demo", strings.Repeat("x", portal.MaxForm)), http.StatusRequestEntityTooLarge)
	send := func(contentType, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "POST", portal.SignInPath, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		f.hosted.Endpoint(portal.SignInPath)(w, r)
		return w
	}
	want(t, send("application/x-www-form-urlencoded", "%zz=1"), http.StatusBadRequest)
	want(t, send("application/json", `{"transaction":"x"}`), http.StatusBadRequest)
	want(t, send("multipart/form-data; boundary=x", "--x--"), http.StatusBadRequest)
	want(t, send("\x00", "a=b"), http.StatusBadRequest)
	if len(f.work.Take()) > 0 {
		t.Fatal("a password was compared")
	}
}

func TestMethodsThatAreNotAllowedAreNamed(t *testing.T) {
	f := newFixture(t)
	for path, allow := range map[string]string{
		portal.SignInPath: "GET, HEAD, POST", portal.SignOutPath: "GET, HEAD, POST", portal.AccountPath: "GET, HEAD", portal.WidgetPath: "GET, HEAD", "/sso": "GET, HEAD", portal.AssetPrefix + "x": "GET, HEAD",
	} {
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FROBNICATE", "POST"} {
			if method == "POST" && strings.Contains(allow, "POST") {
				continue
			}
			w := f.visitor().do(method, path, nil)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != allow {
				t.Errorf("%s %s: status %d, Allow %q", method, path, w.Code, w.Header().Get("Allow"))
			}
		}
		if w := f.visitor().do("HEAD", path, nil); w.Code >= 500 || w.Code == http.StatusMethodNotAllowed {
			t.Errorf("HEAD %s: status %d", path, w.Code)
		}
	}
	for _, path := range []string{"/", "/sso/", "/sso/sign_in/", "/sso/SIGN_IN", "//sso/sign_in", "/sso/other"} {
		if f.hosted.Endpoint(path) != nil && path != "/sso/" {
			t.Errorf("%s is answered", path)
		}
	}
}

func TestClass21NothingThatIsTypedBecomesScript(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	f := newFixture(t)
	b := f.visitor()
	w := b.submit(b.form(b.open(portal.SignInPath+"?"+url.Values{"x": {evil}}.Encode())), evil, "wrong", append([]string{"Referer", "javascript:alert(1)"}, sameOrigin...)...)
	want(t, w, http.StatusUnauthorized)
	for _, body := range []string{
		w.Body.String(), f.visitor().open(portal.SignInPath + "?" + url.Values{"switch": {"1"}, "state": {evil}}.Encode()).Body.String(),
		f.visitor().open(portal.SignOutPath + "?" + url.Values{"client_id": {"1"}, "redirect_uri": {"javascript:alert(1)"}}.Encode()).Body.String(),
		f.visitor().open(portal.WidgetPath + "?" + url.Values{"w": {evil}}.Encode()).Body.String(),
	} {
		if strings.Contains(body, "<script>") || strings.Contains(body, "javascript:") {
			t.Errorf("the page: %s", body)
		}
	}
	w = b.submit(b.form(w), "a\x00\x1b[31mb", "wrong")
	wantText(t, w, `name="username" type="text" value=""`)
}
