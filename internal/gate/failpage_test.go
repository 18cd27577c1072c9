package gate

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestTheFailAuthURLIsAPageAndNothingElse(t *testing.T) {
	const refused, through = http.StatusUnauthorized, http.StatusOK
	for _, own := range []struct{ registered, query string }{{"/signed-out", "?"}, {"/signed-out?page=out&lang=en", "?page=out&lang=en&"}, {"/signed-out?page=out&", "?page=out&"}} {
		f := newFixture(t)
		f.gate.Policy.FailAuthURL = parse(t, siteOrigin+own.registered)
		sent := parse(t, (&oauth.Authorization{FailAuthURL: siteOrigin + own.registered, State: "s"}).FailCallback(portalOrigin+"/api/oauth2/auth?a=b&c=d'e")).RequestURI()
		with := func(query string) string { return "/signed-out" + own.query + query }
		for _, c := range []struct {
			method, target string
			want           int
		}{
			{"GET", own.registered, through},
			{"HEAD", own.registered, through},
			{"GET", sent, through},
			{"HEAD", sent, through},
			{"GET", with("state=x&resume=y&error_description=a%20b&error_code=1&error=z"), through},
			{"GET", with("error"), through},
			{"GET", with("resume=https%3A%2F%2Fa.example%2F%3Fa%3Db%26c%3Dd%3Be"), through},

			{"POST", own.registered, refused},
			{"POST", sent, refused},
			{"PUT", own.registered, refused},
			{"DELETE", own.registered, refused},
			{"OPTIONS", own.registered, refused},
			{"FROBNICATE", own.registered, refused},
			{"GET", sent + "&error=again", refused},
			{"GET", sent + "&admin=1", refused},
			{"GET", with("error=x&error=y"), refused},
			{"GET", with("error=x&admin=1"), refused},
			{"GET", with("admin=1&error=x"), refused},
			{"GET", with("%65rror=x"), refused},
			{"GET", with("error=x&%65rror=y"), refused},
			{"GET", with("Error=x"), refused},
			{"GET", with("error[]=x"), refused},
			{"GET", with("error=x;admin=1"), refused},
			{"GET", with("state=x&;admin=1"), refused},
			{"GET", with("error=%zz"), refused},
			{"GET", with("error=%"), refused},
			{"GET", with("error=x&"), refused},
			{"GET", with("&error=x"), refused},
			{"GET", with("=x"), refused},
			{"GET", with("error=x?admin=1&admin=1"), refused},
		} {
			f.called = 0
			wantStatus(t, f.serve(raw(t, c.method, c.target)), c.want)
			if (f.called > 0) != (c.want == through) {
				t.Errorf("%s %s reached the upstream: %v", c.method, c.target, f.called > 0)
			}
		}
	}
}

func TestTheFailAuthURLHasItsRegisteredQuery(t *testing.T) {
	for registered, requested := range map[string][]string{
		"/signed-out":       {"/signed-out?page=out", "/signed-out?page=out&error=x"},
		"/signed-out?a=b":   {"/signed-out", "/signed-out?error=x", "/signed-out?a=b&a=b", "/signed-out?a=bc", "/signed-out?a=b&c", "/signed-out?error=x&a=b", "/signed-out?A=b", "/signed-out?a=%62", "/signed-out?a=b&a=c&error=x"},
		"/signed-out?error": {"/signed-out", "/signed-out?error=y"},
	} {
		f := newFixture(t)
		f.gate.Policy.FailAuthURL = parse(t, siteOrigin+registered)
		for _, target := range requested {
			wantStatus(t, f.serve(raw(t, "GET", target)), http.StatusUnauthorized)
		}
		f.untouched()
	}
	// Browsers write a quotation mark so.
	f := newFixture(t)
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out?a='b'")
	for _, target := range []string{"/signed-out?a='b'", "/signed-out?a=%27b%27", "/signed-out?a=%27b%27&error=x"} {
		wantStatus(t, f.serve(raw(t, "GET", target)), http.StatusOK)
	}
}

// A method may be in disguise, a body may come with GET, and a connection may
// become another protocol.
func TestARequestInDisguiseIsNotForTheFailAuthURL(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	for _, headers := range [][]string{
		{"X-Http-Method-Override", "DELETE"},
		{"X-Method-Override", "PUT"},
		{"X-Http-Method", "POST"},
		{"Connection", "Upgrade", "Upgrade", "websocket"},
	} {
		wantStatus(t, f.serve(raw(t, "GET", "/signed-out", headers...)), http.StatusUnauthorized)
	}
	for _, length := range []int64{-1, 1} {
		r := raw(t, "GET", "/signed-out")
		r.ContentLength = length
		wantStatus(t, f.serve(r), http.StatusUnauthorized)
	}
	f.untouched()
}

// Where the gate's matcher does not cover the path, it is the site's own.
func TestAFailAuthURLThatTheMatcherDoesNotCoverIsTheSites(t *testing.T) {
	f := newFixture(t)
	protects(f.gate, "/admin")
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	for _, target := range []string{"GET /signed-out?a=b", "POST /signed-out", "DELETE /signed-out?error=x&error=y"} {
		method, path, _ := strings.Cut(target, " ")
		wantStatus(t, f.serve(raw(t, method, path)), http.StatusOK)
	}
}

// A browser that opens the page with another query is redirected through the portal once.
func TestAnotherQueryLeadsBackToTheFailAuthURL(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	b := f.browser()
	w := b.open("/signed-out?utm_source=x")
	b.want(w, http.StatusFound)
	q := parse(t, w.Header().Get("Location")).Query()
	if got := q.Get("fail_auth_url"); got != siteOrigin+"/signed-out" {
		t.Fatalf("it leads to %q", got)
	}
	a := &oauth.Authorization{FailAuthURL: q.Get("fail_auth_url")}
	a.State = q.Get("state")
	sent, err := url.Parse(a.FailCallback(portalOrigin + "/api/oauth2/auth?" + q.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	b.want(b.open(sent.RequestURI()), http.StatusOK)
}
