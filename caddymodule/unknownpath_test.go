package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const noEndpoint = `{"error":{"code":"003-061","description":"Object not found: there is no such endpoint.","details":{}}}` + "\n"

// ask sends a request; headers are pairs.
func (v *visitor) ask(method, target string, headers ...string) answered {
	v.t.Helper()
	r := v.request(method, target, "")
	r.Header.Set("Accept", "*/*")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	once := *v.Client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return (&visitor{v.world, &once}).send(r)
}

// person has the headers that a browser sends when a user opens a page.
var person = []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}

// What stands behind the portal, and answers nothing of its own.
var silent = map[string]string{
	"nothing":                         "",
	"what answers other paths":        "respond /else there\nhandle /other/* {\nrespond other\n}\nfile_server /static/*",
	"what changes answers":            "encode gzip\ntemplates\nheader X-A b\nheader >X-B c\nintercept {\n@failed status 5xx\nreplace_status @failed 418\n}",
	"a rewrite":                       "rewrite * /index.html",
	"groups, none of which is for it": "handle /api/other {\nrespond other\n}\nroute /oauth2/other {\nrespond other\n}",
}

func TestClass41APathOfAnAPIThatNobodyAnswersIsNotFound(t *testing.T) {
	for name, behind := range silent {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{portal: behind})
			v, portal := w.visitor(), "http://"+w.portal
			for _, tt := range []struct {
				method, path, body string
				headers            []string
			}{
				{"POST", "/api/oauth2/user", noEndpoint, nil},
				{"GET", "/api/", noEndpoint, nil},
				{"DELETE", "//api//oauth2/none", noEndpoint, nil},
				{"OPTIONS", "/api/oauth2/none", noEndpoint, nil},
				{"OPTIONS", "/api/oauth2/none", noEndpoint, []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}},
				{"GET", "/api/v4/sso_url", noEndpoint, nil}, // there is no license
				{"HEAD", "/api/oauth2/none", "", nil},
				{"GET", "/api/none", "There is nothing at this address", person},
				{"GET", "/api/none", "Reference: 003-061", person},
				{"POST", "/oauth2/none", `{"error":"invalid_request","error_description":"There is no such endpoint."}` + "\n", nil},
				{"GET", "/oauth2/sign_in", `"invalid_request"`, nil}, // which a gate would answer
				{"GET", "/oauth2/none", "There is nothing at this address", person},
				{"GET", "/sso/none", "There is nothing at this address", nil},
				{"POST", "/sso/none", "There is nothing at this address", nil},
				{"HEAD", "/sso/none", "", nil},
			} {
				got := v.ask(tt.method, portal+tt.path, tt.headers...)
				if got.StatusCode != http.StatusNotFound || !strings.Contains(got.body, tt.body) || tt.body == "" && got.body != "" {
					t.Errorf("%s %s %v: %s %q", tt.method, tt.path, tt.headers, got.Status, got.body)
				}
				if got.Header.Get("Access-Control-Allow-Origin") != "" || got.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s %s: %v", tt.method, tt.path, got.Header)
				}
			}
			for path, credentials := range map[string]string{"/api/none": "true", "/oauth2/none": ""} {
				origin := "http://" + w.site
				got := v.ask("OPTIONS", portal+path, "Origin", origin, "Access-Control-Request-Method", "PUT")
				if got.StatusCode != http.StatusNoContent || got.Header.Get("Access-Control-Allow-Origin") != origin ||
					got.Header.Get("Access-Control-Allow-Credentials") != credentials || !strings.Contains(got.Header.Get("Access-Control-Allow-Methods"), "PUT") {
					t.Errorf("the preflight of %s: %s %v", path, got.Status, got.Header)
				}
				if got := v.ask("PUT", portal+path, "Origin", origin); got.StatusCode != http.StatusNotFound || got.Header.Get("Access-Control-Allow-Origin") != origin {
					t.Errorf("PUT %s: %s %v", path, got.Status, got.Header)
				}
			}
			// What is the site's own stays as it was.
			for _, path := range []string{"/", "/elsewhere", "/api", "/apis/x", "/.well-known/none", "/.well-known/security.txt", "/ssohelp"} {
				if got := v.ask("GET", portal+path); got.StatusCode != http.StatusOK || got.body != "" {
					t.Errorf("%s: %s %q", path, got.Status, got.body)
				}
			}
		})
	}
}

func TestWhatAHandlerBehindThePortalAnswersIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/empty":
		case "/api/nothing":
			rw.WriteHeader(http.StatusNoContent)
		case "/api/hints":
			rw.WriteHeader(http.StatusEarlyHints)
			rw.WriteHeader(http.StatusAccepted)
		case "/api/echo":
			io.Copy(rw, r.Body) //nolint:errcheck // the test sees it
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(backend.Close)
	if err := os.WriteFile(filepath.Join(w.dir, "page.html"), []byte("<p>page"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.mustLoad(setup{portal: `encode gzip
	@theirs path /api/empty /api/nothing /api/hints /api/echo /api/theirs
	reverse_proxy @theirs ` + strings.TrimPrefix(backend.URL, "http://") + `
	reverse_proxy /api/down localhost:1
	handle_path /sso/files/* {
		root DIR
		file_server
	}
	handle /oauth2/handled {
		route {
			respond handled 202
		}
	}
	respond /oauth2/empty 200
	error /sso/gone 410
	respond /sso/closed closed {
		close
	}
	handle_errors {
		respond "their {err.status_code}"
	}`})
	v, portal := w.visitor(), "http://"+w.portal
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/api/empty", 200, ""},
		{"HEAD", "/api/empty", 200, ""},
		{"POST", "/api/empty", 200, ""},
		{"GET", "/api/nothing", 204, ""},
		{"GET", "/api/hints", 202, ""},
		{"GET", "/api/theirs", 404, "404 page not found\n"},
		{"GET", "/api/down", 502, "their 502"},
		{"GET", "/sso/files/page.html", 200, "<p>page"},
		{"GET", "/sso/files/none.html", 404, "their 404"},
		{"GET", "/oauth2/handled", 202, "handled"},
		{"GET", "/oauth2/empty", 200, ""},
		{"GET", "/sso/gone", 410, "their 410"},
		{"GET", "/sso/closed", 200, "closed"},
		{"GET", "/api/none", 404, noEndpoint},
	} {
		if got := v.ask(tt.method, portal+tt.path); got.StatusCode != tt.status || got.body != tt.body {
			t.Errorf("%s %s: %s %q", tt.method, tt.path, got.Status, got.body)
		}
	}
	r := v.request("POST", portal+"/api/echo", strings.Repeat("x", 1<<20))
	if got := v.send(r); len(got.body) != 1<<20 {
		t.Errorf("an upload: %s, %d bytes came back", got.Status, len(got.body))
	}
}

// A connection that was taken over is answered, whatever its status line was.
func TestAConnectionThatAHandlerTookOverIsAnswered(t *testing.T) {
	w := newWorld(t)
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		conn, both, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n") //nolint:errcheck // the test sees it
		line, _ := both.ReadString('\n')
		io.WriteString(conn, "heard "+line) //nolint:errcheck // the test sees it
	}))
	t.Cleanup(backend.Close)
	w.mustLoad(setup{portal: "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://")})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.portal)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /api/socket HTTP/1.1\r\nHost: "+w.portal+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n") //nolint:errcheck // the test sees it
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	io.WriteString(conn, "hello\n") //nolint:errcheck // the test sees it
	if rest, err := io.ReadAll(from); err != nil || string(rest) != "heard hello\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

// A gate on the portal's own origin has paths below /oauth2/, too, and what it
// lets through is nobody's but the portal's.
func TestClass41AGateBehindThePortalAnswersItsOwnPaths(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{portal: "sso_gate /private/* {\nclient 1\n}\nsso_gate /api/private/* {\nclient 1\n}"})
	v, portal := w.visitor(), "http://"+w.portal
	for path, want := range map[string]int{
		"/oauth2/sign_in?return=/": 302, "/oauth2/sign_out": 200, "/oauth2/signed_in": 400, "/oauth2/assets/none": 404,
		"/oauth2/none": 404, "/api/private/x": 302, "/api/none": 404,
	} {
		if got := v.ask("GET", portal+path, person...); got.StatusCode != want {
			t.Errorf("%s: %s", path, got.Status)
		}
	}
	v.signIn("http://" + w.site + "/")
	if got := v.ask("GET", portal+"/api/private/x"); got.StatusCode != http.StatusNotFound || got.body != noEndpoint {
		t.Errorf("a path that a gate let through: %s %s", got.Status, got.body)
	}
}

func TestTheAccessLogSaysThatAnUnknownPathWasAnswered(t *testing.T) {
	w := newWorld(t)
	s := setup{portal: "log"}.withLog()
	w.mustLoad(s)
	w.visitor().ask("GET", "http://"+w.portal+"/api/none")
	w.visitor().ask("GET", "http://"+w.portal+"/none")
	_, lines := w.logged()
	said := map[string]int{}
	for _, l := range lines {
		if strings.HasPrefix(l.Logger, "http.log.access") {
			said[l.Text] = l.Status
		}
	}
	if said["handled request"] != http.StatusNotFound || len(said) != 2 {
		t.Errorf("the log says %v", said)
	}
}

// A slash at the end is no part of a path's name, whichever API it is of.
func TestASlashAtTheEndOfAPathChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	w.mustLoad(setup{global: strings.Replace(licensed, "PROVISION", "", 1), portal: "respond /.well-known/* theirs"})
	v, portal := w.visitor(), "http://"+w.portal
	for _, tt := range []struct{ method, path string }{
		{"GET", "/api/oauth2/auth"},
		{"POST", "/api/oauth2/token"},
		{"GET", "/api/oauth2/sso"},
		{"GET", "/api/users/me"},
		{"HEAD", "/api/users/me"},
		{"POST", "/api/token/validate"},
		{"GET", "/api/projects/1/keys"},
		{"GET", "/api/v4/sso_url"},
		{"GET", "/api/v4/oauth_url"},
		{"GET", "/oauth2/authorize"},
		{"POST", "/oauth2/token"},
		{"GET", "/oauth2/jwks"},
		{"HEAD", "/oauth2/jwks"},
		{"GET", "/oauth2/userinfo"},
		{"POST", "/oauth2/introspect"},
		{"GET", "/oauth2/end_session"},
		{"GET", "/.well-known/openid-configuration"},
		{"GET", "/sso"},
		{"GET", "/sso/account"},
		{"GET", "/sso/sign_in"},
		{"GET", "/sso/sign_out"},
		{"GET", "/sso/sessions"},
		{"GET", "/sso/license_signature.pem"},
		{"OPTIONS", "/api/oauth2/token"},
		{"PATCH", "/api/oauth2/token"},
		{"PATCH", "/oauth2/token"},
	} {
		want := v.ask(tt.method, portal+tt.path, "Authorization", "Bearer made-up")
		if want.StatusCode == http.StatusNotFound {
			t.Fatalf("%s is unknown", tt.path)
		}
		for _, path := range []string{tt.path + "/", "/" + tt.path, strings.ReplaceAll(tt.path, "/", "//") + "//"} {
			got := v.ask(tt.method, portal+path, "Authorization", "Bearer made-up")
			if got.StatusCode != want.StatusCode || withoutSecrets(got.body) != withoutSecrets(want.body) || got.Header.Get("Location") != want.Header.Get("Location") {
				t.Errorf("%s %s: %s %.100q, and without the slash %s %.100q", tt.method, path, got.Status, got.body, want.Status, want.body)
			}
		}
	}
	// The sign-in page works there, too.
	if got := v.submit(v.get(portal+"/sso/sign_in/"), "demo", "demo"); got.StatusCode != http.StatusOK || !strings.Contains(got.body, "You’re signed in") {
		t.Errorf("signing in: %s %s", got.Status, got.body)
	}
	if got := v.ask("GET", portal+"/.well-known/none/"); got.body != "theirs" {
		t.Errorf("another path of the site: %s %s", got.Status, got.body)
	}
}

// withoutSecrets is a page without the values that are new in each answer.
func withoutSecrets(body string) string { return formHidden.ReplaceAllString(body, "") }
