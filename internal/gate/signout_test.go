package gate

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/session"
)

var (
	sameOriginForm = []string{"Origin", siteOrigin, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Accept", "text/html"}
	errDown        = faultystore.ErrDown
)

var refreshAttribute = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)

// leadsTo is where a page goes by itself, or "".
func leadsTo(w *httptest.ResponseRecorder) string {
	found := refreshAttribute.FindStringSubmatch(w.Body.String())
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func TestClass22OnlyThisSiteSignsOut(t *testing.T) {
	for name, test := range map[string]struct {
		method  string
		headers []string
		status  int
		ended   bool
	}{
		"a form of this site":                      {"POST", sameOriginForm, http.StatusOK, true},
		"a form of this site, by its origin":       {"POST", []string{"Origin", siteOrigin, "Accept", "text/html"}, http.StatusOK, true},
		"a form of another site":                   {"POST", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Accept", "text/html"}, http.StatusOK, false},
		"a form of a sibling domain":               {"POST", []string{"Sec-Fetch-Site", "same-site", "Accept", "text/html"}, http.StatusOK, false},
		"a form of another port":                   {"POST", []string{"Origin", "http://localhost:8080", "Accept", "text/html"}, http.StatusOK, false},
		"a form of an opaque origin":               {"POST", []string{"Origin", "null", "Accept", "text/html"}, http.StatusOK, false},
		"a script of another site":                 {"POST", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, http.StatusOK, false},
		"a script of this site":                    {"POST", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Accept", "*/*"}, http.StatusNoContent, true},
		"an old script of this site":               {"POST", []string{"Origin", siteOrigin, "Accept", "application/json"}, http.StatusNoContent, true},
		"a link of this site":                      {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate"}, http.StatusSeeOther, true},
		"a link of another site":                   {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, http.StatusOK, false},
		"a link of a sibling domain":               {"GET", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate"}, http.StatusOK, false},
		"an address that was typed":                {"GET", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, http.StatusOK, false},
		"an image on another site":                 {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, http.StatusOK, false},
		"a browser that does not say where from":   {"GET", []string{"Accept", "text/html"}, http.StatusOK, false},
		"an old browser with a Referer":            {"GET", []string{"Accept", "text/html", "Referer", siteOrigin + "/"}, http.StatusOK, false},
		"an image on this site":                    {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, http.StatusOK, false},
		"a frame on this site":                     {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, http.StatusOK, false},
		"a link of this site, to a document":       {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, http.StatusSeeOther, true},
		"a prefetch of a link that nobody clicked": {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Purpose", "prefetch"}, http.StatusOK, false},
		"HEAD":   {"HEAD", []string{"Sec-Fetch-Site", "same-origin"}, http.StatusMethodNotAllowed, false},
		"DELETE": {"DELETE", sameOriginForm, http.StatusMethodNotAllowed, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.browser()
			b.enter(demo)
			site := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]
			w := b.do(test.method, SignOutPath, test.headers...)
			b.want(w, test.status)
			f.untouched()
			if test.status == http.StatusOK && (leadsTo(w) != "") != test.ended {
				t.Errorf("led to %q", leadsTo(w))
			}
			_, left := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]
			if left == test.ended {
				t.Errorf("the cookie is kept: %v", left)
			}
			_, err := f.gate.Server.SignedIn(t.Context(), b.cookies[portalOrigin][portalCookie(t).Name])
			if (err != nil) != test.ended {
				t.Errorf("the SSO session: %v", err)
			}
			_, err = f.gate.Server.SignedInAtSite(t.Context(), site, "1")
			if (err != nil) != test.ended {
				t.Errorf("the site session: %v", err)
			}
			if test.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") != "GET, POST" {
				t.Errorf("Allow is %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestClass16SigningOutOnOneSiteClosesTheOthers(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	other := f.browser()
	other.origin = httpsOrigin
	other.cookies[portalOrigin] = b.cookies[portalOrigin]
	other.want(other.open(strings.TrimPrefix(other.portal(other.open("/").Header().Get("Location")), httpsOrigin)), http.StatusFound)
	other.want(other.do("GET", "/"), http.StatusOK)

	b.want(b.do("POST", SignOutPath, sameOriginForm...), http.StatusOK)
	other.want(other.do("GET", "/"), http.StatusUnauthorized)
	b.want(b.do("GET", "/"), http.StatusUnauthorized)
}

func TestClass16AUserWhoIsGoneCanStillSignOut(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	delete(f.users, demo.Subject)
	b.want(b.do("POST", SignOutPath, sameOriginForm...), http.StatusOK)
	f.users[demo.Subject] = demo
	err := f.gate.Server.Sessions.List(t.Context(), func(s *session.Session) error {
		return fmt.Errorf("session %s of %s is still there", s.ID(), s.User().Name)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheSignOutPageKeepsTheURLToContinueTo(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.enter(demo)
	w := b.open(SignOutPath + "?" + url.Values{"return": {"https://www.example/bye"}}.Encode())
	b.want(w, http.StatusOK)
	const action = SignOutPath + "?return=https%3A%2F%2Fwww.example%2Fbye"
	if !strings.Contains(w.Body.String(), `action="`+action+`"`) || !strings.Contains(w.Body.String(), "demo@example.com") {
		t.Fatalf("the page: %s", w.Body)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self';") {
		t.Fatalf("the policy: %s", csp)
	}
	w = b.do("POST", action, sameOriginForm...)
	if got := leadsTo(w); got != "https://www.example/bye" {
		t.Fatalf("led to %q", got)
	}
	w = b.open(SignOutPath + "?" + url.Values{"return": {"https://evil.example/"}}.Encode())
	if strings.Contains(w.Body.String()+w.Header().Get("Content-Security-Policy"), "evil") {
		t.Fatalf("the page: %s", w.Body)
	}
}

func TestWhereSigningOutLeadsWithoutAReturn(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	b := f.browser()
	b.enter(demo)
	if got := leadsTo(b.do("POST", SignOutPath, sameOriginForm...)); got != siteOrigin+"/signed-out" {
		t.Fatalf("led to %q", got)
	}
}

// The portal asks, or says that nobody is signed in. Only the portal knows.
func TestClass16NobodyIsToldToBeSignedOutWhoHasANewerSessionAtThePortal(t *testing.T) {
	for name, before := range map[string]func(*browser){
		"the site session is over": func(b *browser) {
			sess := b.enter(demo)
			if err := b.f.gate.Server.Sessions.End(t.Context(), sess.Key()); err != nil {
				t.Fatal(err)
			}
		},
		"there is no site session": func(*browser) {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
			b := f.browser()
			before(b)
			b.signIn(demo)
			for _, path := range []string{SignOutPath, SignOutPath + "?" + url.Values{"return": {"https://www.example/bye"}}.Encode()} {
				const toPortal = portalOrigin + "/sso/sign_out?client_id=1&"
				asked := b.open(path)
				if got := asked.Header().Get("Location"); asked.Code != http.StatusSeeOther || !strings.HasPrefix(got, toPortal) {
					t.Errorf("%s: %d, led to %q", path, asked.Code, got)
				}
				sent := b.do("POST", path, sameOriginForm...)
				if got := leadsTo(sent); sent.Code != http.StatusOK || !strings.HasPrefix(got, toPortal) || strings.Contains(sent.Body.String(), "signed out") {
					t.Errorf("%s: %d, led to %q: %s", path, sent.Code, got, sent.Body)
				}
			}
		})
	}
}

func TestClass16AtThePortalItselfThereIsNoOtherSession(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	b := f.browser()
	b.origin = portalOrigin
	headers := slices.Concat(sameOriginForm, []string{"Origin", portalOrigin})
	if got := leadsTo(b.do("POST", SignOutPath, headers...)); got != siteOrigin+"/signed-out" {
		t.Errorf("led to %q", got)
	}
	w := b.open(SignOutPath)
	b.want(w, http.StatusOK)
	if !strings.Contains(w.Body.String(), "signed out") {
		t.Errorf("the page: %s", w.Body)
	}
}

func TestNobodyIsToldToBeSignedOutWhoIsNot(t *testing.T) {
	for name, failure := range map[string]error{"the store is down": errDown, "something unforeseen": errUnforeseen} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.browser()
			b.enter(demo)
			f.store.FailWith(failure)
			for _, w := range []interface{ Result() *http.Response }{
				b.do("POST", SignOutPath, sameOriginForm...), b.do("POST", SignOutPath, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"),
			} {
				r := w.Result()
				if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || len(r.Cookies()) > 0 {
					t.Errorf("status %d, Retry-After %q, cookies %v", r.StatusCode, r.Header.Get("Retry-After"), r.Cookies())
				}
			}
			f.store.Down(false)
			b.want(b.do("POST", SignOutPath, sameOriginForm...), http.StatusOK)
		})
	}
}
