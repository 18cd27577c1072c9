package gate

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// elsewhere are return URLs that some browser or parser takes for another
// place than this origin.
var elsewhere = []string{
	"https://evil.example/", "http://evil.example", "https:evil.example", "https:/evil.example", "//evil.example/", "///evil.example",
	`/\evil.example`, `\/evil.example`, `\\evil.example`, `/\/evil.example`, `/ok\..\x`, "evil.example", "evil", "?x", "#x", "@evil.example", ":80@evil.example/", ".evil.example",
	"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x", "blob:x", "file:///etc/passwd",
	"/\t/evil.example", "\t//evil.example", "/\n/evil.example", "/\r/evil.example", "/ok\r\nSet-Cookie: a=b", "/ok\x00", "/ok\x7f", "/\u2028/evil.example", "/\u0085x", "/ok\xff", " /", " //evil.example", "http://localhost:8081@evil.example/", "http://localhost:8081/",
	"/%zz", `/"onclick="x`,
}

// stays reports whether a Location is on this origin, for Go's parser and for one
// like the browsers' (WHATWG URL: control characters go, \ is /).
func stays(location string) bool {
	u, err := url.Parse(location)
	if err != nil || u.User != nil || u.Opaque != "" || u.Scheme+"://"+u.Host != siteOrigin {
		return false
	}
	browser := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(strings.TrimFunc(location, func(r rune) bool { return r <= ' ' }))
	rest, ok := strings.CutPrefix(browser, siteOrigin)
	return ok && strings.HasPrefix(rest, "/")
}

// harmless are elsewhere's that only look dangerous: with the origin before
// them they are paths of this site.
func harmless(p string) bool { return strings.HasPrefix(p, "//") && localPath(p) }

func TestClass10AReturnParameterNeverLeadsElsewhere(t *testing.T) {
	for _, to := range elsewhere {
		f := newFixture(t)
		b := f.browser()
		b.signIn(demo)
		w := b.open(SignInPath + "?" + url.Values{"return": {to}}.Encode())
		if w.Code == http.StatusBadRequest && w.Header().Get("Location") == "" {
			continue
		}
		if !harmless(to) {
			t.Errorf("%q: status %d", to, w.Code)
			continue
		}
		w = b.open(b.portal(w.Header().Get("Location")))
		if got := w.Header().Get("Location"); !stays(got) || got != siteOrigin+to {
			t.Errorf("%q led to %q", to, got)
		}
	}
}

func TestClass10ARequestedPathNeverLeadsElsewhere(t *testing.T) {
	for _, target := range []string{
		"//evil.example/", "///evil.example/", "//evil.example/%2f..", "//evil.example@x/", `/\evil.example/`, "/%5cevil.example", "/%2f%2fevil.example",
		"/%0a/evil.example", "/http://evil.example/", "/?return=//evil.example", "/;//evil.example", "/@evil.example", "/%09/evil.example", "/x?%0d%0aSet-Cookie:%20a=b",
		"//localhost:8080/", "http://localhost:8081//evil.example/", "/.//evil.example/", "/..//evil.example",
	} {
		f := newFixture(t)
		b := f.browser()
		b.signIn(demo)
		w := f.serve(raw(t, "GET", target, navigation...))
		if w.Code == http.StatusRequestURITooLong {
			continue
		}
		wantStatus(t, w, http.StatusFound)
		for _, c := range w.Result().Cookies() {
			b.keep(siteOrigin, c.Name, c.Value)
		}
		w = b.open(b.portal(w.Header().Get("Location")))
		if got := w.Header().Get("Location"); !stays(got) {
			t.Errorf("%q led to %q", target, got)
		}
	}
}

func TestClass10ASealedStateIsNotTrustedEither(t *testing.T) {
	for _, to := range elsewhere {
		if harmless(to) || !utf8.ValidString(to) { // which JSON cannot hold
			continue
		}
		f := newFixture(t)
		b := f.browser()
		sealed, err := f.gate.seal(t.Context(), state{Client: "1", Origin: siteOrigin, Binder: "x", Return: to, Begun: f.clock.Now().Unix()})
		if err != nil {
			t.Fatal(err)
		}
		w := b.open("/oauth2/callback?code=x&state=" + url.QueryEscape(sealed))
		if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
			t.Errorf("%q: status %d, Location %q", to, w.Code, w.Header().Get("Location"))
		}
	}
}

func TestClass10TheWindowOnThePortalNeverLeadsElsewhere(t *testing.T) {
	for _, to := range elsewhere {
		f := newFixture(t)
		b := f.browser()
		b.origin = portalOrigin
		b.signIn(demo)
		w := b.open(SignedInPath + "?" + url.Values{"return": {to}, "window": {"n"}}.Encode())
		if harmless(to) {
			if !strings.Contains(w.Body.String(), `href="`+portalOrigin+to) {
				t.Errorf("%q: %s", to, w.Body)
			}
			continue
		}
		if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%q: status %d: %s", to, w.Code, w.Body)
		}
	}
}

func TestClass10SigningOutGoesToRegisteredURLsOnly(t *testing.T) {
	const toPortal = portalOrigin + "/sso/sign_out?client_id=1&redirect_uri=http%3A%2F%2Flocalhost%3A8081%2Foauth2%2Fcallback"
	for to, want := range map[string]string{
		"":                               toPortal,
		siteOrigin + "/signed-out":       siteOrigin + "/signed-out",
		"https://www.example/bye?x=1":    "https://www.example/bye?x=1",
		siteOrigin + "/other":            toPortal,
		siteOrigin + "/signed-out/":      toPortal,
		"https://www.example.evil":       toPortal,
		"https://www.example@evil.test/": toPortal,
		"//www.example":                  toPortal,
		"https:www.example":              toPortal,
		`https://www.example\.evil.test`: toPortal,
		"http://www.example":             toPortal,
		"javascript:alert(1)":            toPortal,
		"/":                              toPortal,
	} {
		f := newFixture(t)
		b := f.browser()
		b.enter(demo)
		w := b.do("POST", SignOutPath+"?"+url.Values{"return": {to}}.Encode(), sameOriginForm...)
		b.want(w, http.StatusOK)
		if got := leadsTo(w); got != want {
			t.Errorf("%q led to %q, expected %q", to, got, want)
		}
	}
}

func TestAnAddressThatFitsIntoNoStateIsRefusedAtOnce(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(demo)
	long := "/?" + strings.Repeat("&", maxReturn-2) // what JSON makes longest
	w := b.open(long)
	b.want(w, http.StatusFound)
	if state := parse(t, w.Header().Get("Location")).Query().Get("state"); len(state) > 16<<10 {
		t.Fatalf("the state has %d bytes, more than the portal takes", len(state))
	}
	w = b.open(b.portal(w.Header().Get("Location")))
	if got := w.Header().Get("Location"); got != siteOrigin+long {
		t.Fatalf("came back to %.80q", got)
	}
	b.want(f.browser().open(long+"&"), http.StatusRequestURITooLong)
	b.want(f.browser().open("/?\xff"), http.StatusRequestURITooLong)
	b.want(f.browser().open(`/?"`), http.StatusRequestURITooLong)
}

// FuzzReturnURL holds that whatever is taken for a path of this site leads
// nowhere else: as it is given, through a request for sign-in, and out of a
// sealed state.
func FuzzReturnURL(f *testing.F) {
	for _, to := range elsewhere {
		f.Add(to)
	}
	for _, to := range []string{"/", "/a?b=c&d#e", "/a//b", "//evil.example/", "/%2f%2fevil.example", "/ü", "/?\"", "/a b", "/[::1]", "/:80"} {
		f.Add(to)
	}
	fix := newFixture(f)
	f.Fuzz(func(t *testing.T, to string) {
		if localPath(to) && !stays(siteOrigin+to) {
			t.Fatalf("%q is taken for a path of this site", to)
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Host = "localhost:8081"
		r.URL.Path, r.URL.RawQuery = SignInPath, url.Values{"return": {to}}.Encode()
		w := fix.serve(r)
		if (w.Code == http.StatusFound) != (localPath(to) || to == "") {
			t.Fatalf("%q: status %d", to, w.Code)
		}
		sealed, err := fix.gate.seal(t.Context(), state{Client: "1", Origin: siteOrigin, Return: to, Attempt: maxAttempts})
		if err != nil {
			t.Fatal(err)
		}
		r = httptest.NewRequestWithContext(t.Context(), "GET", "/oauth2/callback?code=x&state="+url.QueryEscape(sealed), nil)
		r.Host = "localhost:8081"
		w = fix.serve(r)
		wantStatus(t, w, http.StatusBadRequest)
		for _, part := range strings.Split(w.Body.String(), `href="`)[1:] {
			link, _, _ := strings.Cut(part, `"`)
			if !strings.HasPrefix(link, "/") && !stays(strings.ReplaceAll(link, "&amp;", "&")) {
				t.Fatalf("%q became the link %q", to, link)
			}
		}
	})
}
