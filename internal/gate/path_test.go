package gate

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// protects has the gate protect a path as Caddy's path matcher does,
// which knows neither case nor double slashes.
func protects(g *Gate, prefix string) {
	g.Match = func(r *http.Request) (bool, error) {
		p := strings.ToLower(r.URL.Path)
		for strings.Contains(p, "//") {
			p = strings.ReplaceAll(p, "//", "/")
		}
		return p == prefix || strings.HasPrefix(p, prefix+"/"), nil
	}
}

// raw is a request whose target is sent as it stands.
func raw(t testing.TB, method, target string, headers ...string) *http.Request {
	t.Helper()
	text := method + " " + target + " HTTP/1.1\r\nHost: localhost:8081\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatalf("%q is no request at all: %v", target, err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r.WithContext(t.Context())
}

func TestClass06PathsThatBackendsReadDifferentlyAreRefused(t *testing.T) {
	const through, unauthorized, bad = http.StatusOK, http.StatusUnauthorized, http.StatusBadRequest
	for target, want := range map[string]int{
		"/public":                            through,
		"/public/a.b/..c/...":                through,
		"/":                                  through,
		"//public":                           bad,
		"/public//x":                         through,
		"/public/":                           through,
		"/caf%C3%A9":                         through,
		"/a%20b":                             through,
		"/100%25":                            through,
		"/wiki/C%23":                         bad,
		"/admin%3f.css":                      bad,
		"/admin%3F.css":                      bad,
		"/admin%23.css":                      bad,
		"/admin%253f.css":                    bad,
		"/public?a=%3f&b=%23":                through,
		"/admin":                             unauthorized,
		"/admin/":                            unauthorized,
		"/admin/x":                           unauthorized,
		"/ADMIN":                             unauthorized,
		"//admin":                            bad,
		"//x/admin/users":                    bad,
		"///x/admin":                         bad,
		"/%2fx/admin":                        bad,
		"/%252fx/admin":                      bad,
		`/\x/admin`:                          bad,
		"//":                                 bad,
		"http://localhost:8081//x/admin":     bad,
		"/admin//users":                      unauthorized,
		"/%61dmin":                           unauthorized,
		"/admin?x=/public":                   unauthorized,
		"/public/../admin":                   bad,
		"/public/./../admin":                 bad,
		"/./admin":                           bad,
		"/public/..":                         bad,
		"/public//../admin":                  bad,
		"/public/%2e%2e/admin":               bad,
		"/public/%2E./admin":                 bad,
		"/public/.%2e/admin":                 bad,
		"/public%2f..%2fadmin":               bad,
		"/%2fadmin":                          bad,
		"/public%2Fadmin":                    bad,
		"/public%5cadmin":                    bad,
		"/public%5C..%5Cadmin":               bad,
		`/public\admin`:                      bad,
		`/\admin`:                            bad,
		"/public;/admin":                     bad,
		"/public;x=1/../admin":               bad,
		"/admin;x=1":                         bad,
		"/admin%3bx":                         bad,
		"/..;/admin":                         bad,
		"/public%252f..%252fadmin":           bad,
		"/%252e%252e/admin":                  bad,
		"/%2561dmin":                         bad,
		"/%25%36%31dmin":                     bad,
		"/public%255c..%255cadmin":           bad,
		"/public%00/admin":                   bad,
		"/admin%00":                          bad,
		"/admin%0a":                          bad,
		"/public%0d%0aX-SSO-User:%20admin":   bad,
		"/admin%7f":                          bad,
		"/%c0%ae%c0%ae/admin":                bad,
		"/admin%ff":                          bad,
		"/public%e2%80%a8":                   bad,
		"foo:admin":                          bad, // a target without a path
		"http://localhost:8081":              bad,
		"http://localhost:8081/public":       through,
		"http://localhost:8081/admin":        unauthorized,
		"http://localhost:8081/x/../admin":   bad,
		"/oauth2/callback/../../admin":       bad,
		"/oauth2/sign_in/../../admin":        bad,
		"/oauth2/assets/../../admin":         http.StatusNotFound, // an own path: no such asset
		"/oauth2/assets/%2e%2e/%2e%2e/admin": http.StatusNotFound,
	} {
		t.Run(target, func(t *testing.T) {
			f := newFixture(t)
			protects(f.gate, "/admin")
			w := f.serve(raw(t, "GET", target))
			wantStatus(t, w, want)
			if want != through {
				f.untouched()
			}
		})
	}
}

// Node's new URL(path, base), PHP's parse_url and Python's urlparse read a host
// behind two slashes, and another path behind that.
func TestClass33NoHostIsReadOutOfAPath(t *testing.T) {
	for _, target := range []string{"//x/admin/users", "///admin", "//localhost:8081/admin", "/%2fx/admin", "http://localhost:8081//x/admin", "//x@y/admin?a=b"} {
		f := newFixture(t)
		protects(f.gate, "/admin")
		wantStatus(t, f.serve(raw(t, "GET", target)), http.StatusBadRequest)
		wantStatus(t, f.serve(raw(t, "POST", target)), http.StatusBadRequest)
		f.untouched()
		f.gate.AllowRawPath = true
		f.gate.Match = func(*http.Request) (bool, error) { return false, nil }
		wantStatus(t, f.serve(raw(t, "GET", target)), http.StatusOK)
	}
}

func TestClass07AnEncodedQuestionMarkSatisfiesNoSuffix(t *testing.T) {
	for _, target := range []string{"/admin%3f.css", "/admin%3Fx=.css", "/admin%23.css"} {
		f := newFixture(t)
		f.gate.Match = func(r *http.Request) (bool, error) { return !strings.HasSuffix(r.URL.Path, ".css"), nil }
		wantStatus(t, f.serve(raw(t, "GET", target)), http.StatusBadRequest)
		f.untouched()
		f.gate.AllowRawPath = true
		wantStatus(t, f.serve(raw(t, "GET", target)), http.StatusOK)
	}
}

func TestRawPathsPassWhereTheyAreAllowedOrThereIsOnePolicy(t *testing.T) {
	f := newFixture(t)
	protects(f.gate, "/admin")
	f.gate.AllowRawPath = true
	wantStatus(t, f.serve(raw(t, "GET", "/a%2fb;c")), http.StatusOK)

	f = newFixture(t)
	b := f.browser()
	b.enter(demo)
	wantStatus(t, b.do("GET", "/a%2fb;c"), http.StatusOK)
	if got := f.last.URL.EscapedPath(); got != "/a%2fb;c" {
		t.Fatalf("the upstream got %q", got)
	}
}

func TestARefusedPathSaysSoToPeopleAndScripts(t *testing.T) {
	f := newFixture(t)
	protects(f.gate, "/admin")
	w := f.serve(raw(t, "GET", "/a/../b"))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("a script got %q", got)
	}
	w = f.serve(raw(t, "GET", "/a/../b", navigation...))
	wantStatus(t, w, http.StatusBadRequest)
	if !strings.Contains(w.Body.String(), "This address does not work") {
		t.Errorf("a person got %s", w.Body)
	}
}

func TestClass05ForwardedHeadersChooseNothing(t *testing.T) {
	f := newFixture(t)
	protects(f.gate, "/admin")
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	forged := []string{
		"X-Forwarded-Uri", "/public", "X-Forwarded-Path", "/public", "X-Original-Url", "/public", "X-Rewrite-Url", "/public",
		"X-Forwarded-Method", "OPTIONS", "X-Http-Method-Override", "OPTIONS",
		"X-Forwarded-Host", "localhost:8080", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "443", "X-Forwarded-For", "127.0.0.1",
		"X-Real-Ip", "127.0.0.1", "Forwarded", "for=127.0.0.1;host=localhost:8080;proto=https", "X-Forwarded-Prefix", "/evil",
		"X-Forwarded-User", "admin", "Referer", siteOrigin + "/signed-out",
	}
	wantStatus(t, f.serve(raw(t, "GET", "/admin", forged...)), http.StatusUnauthorized)
	f.untouched()

	w := f.serve(raw(t, "GET", "/admin?a=b", append(forged, navigation...)...))
	wantStatus(t, w, http.StatusFound)
	q := parse(t, w.Header().Get("Location")).Query()
	if got := q.Get("redirect_uri"); got != siteOrigin+"/oauth2/callback" {
		t.Errorf("redirect_uri %q", got)
	}
	st, err := f.gate.unseal(t.Context(), q.Get("state"))
	if err != nil || st.Return != "/admin?a=b" || st.Origin != siteOrigin {
		t.Errorf("return to %q on %q, %v", st.Return, st.Origin, err)
	}
	for _, c := range w.Result().Cookies() {
		if c.Secure || strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("cookie %s took the protocol from a header", c.Name)
		}
	}
}

func TestClass07QueryAndFragmentSatisfyNothing(t *testing.T) {
	for _, target := range []string{
		"/?/public", "/admin?/signed-out", "/admin?path=/signed-out", "/admin#/signed-out", "/#/signed-out",
		"/?x=/oauth2/callback", "/admin?/oauth2/assets/", "/signed-out%3f", "/signed-out%23", "/signed-out#", "/admin/signed-out", "/signed-out/",
		"/signed-out/x", "/signed-out;x", "/Signed-Out", "//signed-out", "/signed%2dout", "/signed-out%20", "/./signed-out", "/oauth2/", "/oauth2/signed_in/x",
	} {
		f := newFixture(t)
		f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
		if w := f.serve(raw(t, "GET", target)); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: status %d", target, w.Code)
		}
		f.untouched()
	}
}

func TestClass08NoUserAgentOrHealthPathPasses(t *testing.T) {
	for _, target := range []string{"/ping", "/health", "/healthz", "/ready", "/livez", "/metrics", "/robots.txt", "/favicon.ico", "/.well-known/x", "/oauth2/userinfo", "/oauth2/auth"} {
		for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "", "Googlebot/2.1"} {
			f := newFixture(t)
			if w := f.serve(raw(t, "GET", target, "User-Agent", agent)); w.Code != http.StatusUnauthorized {
				t.Errorf("%s as %q: status %d", target, agent, w.Code)
			}
			f.untouched()
		}
	}
}

func TestClass03AnOptionsRequestNeedsASessionLikeAnyOther(t *testing.T) {
	f := newFixture(t)
	w := f.serve(raw(t, "OPTIONS", "/", "Origin", "https://evil.example", "Access-Control-Request-Method", "GET"))
	wantStatus(t, w, http.StatusUnauthorized)
	f.untouched()
}

func TestAMatcherThatFailsLetsNothingThrough(t *testing.T) {
	f := newFixture(t)
	f.gate.Match = func(*http.Request) (bool, error) { return false, errUnforeseen }
	w := f.serve(httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	wantStatus(t, w, http.StatusServiceUnavailable)
	f.untouched()
}
