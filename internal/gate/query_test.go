package gate

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// oddQueries have characters in them that browsers send in a query as they are
// (URL standard, section 4.4).
var oddQueries = []string{
	`q=\d+`, `q=\`, `q=\\server\share`, `path=C:\Users\ada&x=//y`, `q=/\evil.example`, `f=(a|b)^{c}'d'`, "q=`x`~*!$,;:@[]", `q=100%&r=%zz`, `q=?\?`,
}

// attributes are the values of an attribute on a page.
func attributes(w *httptest.ResponseRecorder, name string) []string {
	var values []string
	for _, m := range regexp.MustCompile(name+`="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		values = append(values, html.UnescapeString(m[1]))
	}
	return values
}

func wantAttribute(t *testing.T, w *httptest.ResponseRecorder, name, want string) {
	t.Helper()
	if slices.Contains(attributes(w, name), want) {
		return
	}
	t.Errorf("no %s is %q, but %q (status %d)", name, want, attributes(w, name), w.Code)
}

func TestClass10AQueryComesBackByteForByte(t *testing.T) {
	for _, query := range oddQueries {
		t.Run(query, func(t *testing.T) {
			back := "/explore?" + query
			f := newFixture(t)
			b := f.browser()
			b.signIn(demo)
			w := b.open(back)
			b.want(w, http.StatusFound)
			w = b.open(b.portal(w.Header().Get("Location")))
			if got := w.Header().Get("Location"); got != siteOrigin+back || !stays(got) {
				t.Errorf("signing in leads to %q", got)
			}

			// A page that begins a sign-in by itself.
			w = b.open(SignInPath + "?" + url.Values{"return": {back}}.Encode())
			w = b.open(b.portal(w.Header().Get("Location")))
			if got := w.Header().Get("Location"); got != siteOrigin+back {
				t.Errorf("sign_in leads to %q", got)
			}

			// A user who may not pass, and takes another account.
			f.gate.Policy.Groups = []string{"staff"}
			w = b.open(back)
			b.want(w, http.StatusForbidden)
			wantAttribute(t, w, "href", SignInPath+"?"+url.Values{"switch": {"1"}, "return": {back}}.Encode())

			// A window, and a form, of a user without a session.
			f.gate.Policy = Policy{Popup: true}
			b = f.browser()
			w = b.open(back)
			b.want(w, http.StatusUnauthorized)
			wantAttribute(t, w, "data-back", siteOrigin+back)
			b.signIn(demo)
			w = b.open(SignInPath + "?" + url.Values{"return": {back}, "popup": {"n"}}.Encode())
			wantAttribute(t, b.open(b.portal(w.Header().Get("Location"))), "href", siteOrigin+back)
			w = f.browser().send(back, "a=b", submission...)
			b.want(w, http.StatusUnauthorized)
			wantAttribute(t, w, "data-action", siteOrigin+back)
			w = f.browser().send("/save", "a=b", with(submission, "Referer", siteOrigin+back)...)
			wantAttribute(t, w, "href", SignInPath+"?"+url.Values{"return": {back}}.Encode())

			// The link that leaves a redirect loop.
			f.gate.Policy = Policy{}
			b = f.browser()
			b.signIn(demo)
			location := b.open(back).Header().Get("Location")
			for location != "" {
				callback := b.portal(location)
				delete(b.cookies, siteOrigin)
				w = b.open(callback)
				location = w.Header().Get("Location")
			}
			wantAttribute(t, w, "href", siteOrigin+back)
		})
	}
}

func TestAQueryOfThePortalsOwnOriginComesBackByteForByte(t *testing.T) {
	for _, query := range oddQueries {
		back := "/private?" + query
		f := newFixture(t)
		var asked string
		sealing := f.gate.PortalSignIn
		f.gate.PortalSignIn = func(ctx context.Context, returnTo string) (string, error) {
			asked = returnTo
			return sealing(ctx, returnTo)
		}
		b := f.browser()
		b.origin = portalOrigin
		b.want(b.open(back), http.StatusFound)
		if asked != back {
			t.Errorf("%s: comes back to %q", back, asked)
		}
		f.gate.Policy.Popup = true
		wantAttribute(t, b.open(back), "data-back", portalOrigin+back)
		b.signIn(demo)
		wantAttribute(t, b.open(SignedInPath+"?"+url.Values{"return": {back}, "window": {"n"}}.Encode()), "href", portalOrigin+back)
	}
}

// What is full of characters that sealing writes twice has to fit into the
// state all the same.
func TestAQueryOfBackslashesFitsIntoTheStateOrIsRefused(t *testing.T) {
	for _, n := range []int{maxReturn/2 - 10, maxReturn / 2, maxReturn - 10, maxReturn} {
		f := newFixture(t)
		b := f.browser()
		b.signIn(demo)
		w := b.open("/?q=" + strings.Repeat(`\`, n))
		if w.Code == http.StatusRequestURITooLong {
			if n < maxReturn/2 {
				t.Errorf("%d are refused", n)
			}
			continue
		}
		b.want(w, http.StatusFound)
		location := w.Header().Get("Location")
		if state := parse(t, location).Query().Get("state"); len(state) > 16<<10 {
			t.Errorf("%d make a state of %d bytes", n, len(state))
		}
		b.want(b.open(b.portal(location)), http.StatusFound)
	}
}
