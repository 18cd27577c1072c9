package browser

import (
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// A backend is what stands behind all sites. It keeps what reached it.
type backend struct {
	addr string
	try  string // the page at /try

	mu       sync.Mutex
	requests []received
}

// received is a request with its body.
type received struct {
	harness.Echo
	body string
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := new(backend)
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.addr = server.Listener.Addr().String()
	return b
}

// saw returns the latest request for an address of a site.
func (b *backend) saw(t *testing.T, origin, uri string) received {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	_, host, _ := strings.Cut(origin, "://")
	for _, r := range slices.Backward(b.requests) {
		if r.Host == host && r.URI == uri {
			return r
		}
	}
	t.Fatalf("no request for %s%s reached the backend", origin, uri)
	return received{}
}

// count is how many requests for a path of a site there were.
func (b *backend) count(origin, path string) int {
	_, host, _ := strings.Cut(origin, "://")
	return b.countHost(host, path)
}

func (b *backend) countHost(host, path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.requests {
		p, _, _ := strings.Cut(r.URI, "?")
		if r.Host == host && p == path {
			n++
		}
	}
	return n
}

// ServeHTTP answers with pages:
//
//	/opener       opens windows with open(url), and keeps the messages that it gets in heard;
//	              with the Cross-Origin-Opener-Policy in coop
//	/try          the page of docs/popup.md, where a test sets it
//	/severs       cuts the link to the window that opened it, and leads on to the address in next
//	/signed-out   what a fail_auth_url is: it leads to the address in resume
//	/leads-away   redirects to the address in next
//	/slow         answers the first request only when it is given up
//	/worker.js    a service worker that gives each request the answer of the query
//	else          who is signed in
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // given up
	}
	b.mu.Lock()
	b.requests = append(b.requests, received{harness.Echo{Method: r.Method, Host: r.Host, URI: r.RequestURI, Header: r.Header.Clone()}, string(body)})
	b.mu.Unlock()
	if r.URL.Path == "/favicon.ico" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.URL.Path == "/slow" && b.countHost(r.Host, r.URL.Path) == 1 {
		<-r.Context().Done()
		return
	}
	if r.URL.Path == "/leads-away" {
		http.Redirect(w, r, r.URL.Query().Get("next"), http.StatusFound)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Path == "/worker.js" {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprintf(w, `addEventListener("install", () => skipWaiting());
addEventListener("activate", (e) => e.waitUntil(clients.claim()));
addEventListener("fetch", (e) => e.respondWith(%s));`, r.URL.Query().Get("answer"))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if policy := r.URL.Query().Get("coop"); policy != "" {
		w.Header().Set("Cross-Origin-Opener-Policy", policy)
	}
	if r.URL.Path == "/try" {
		_, _ = io.WriteString(w, b.try) // the browser went away
		return
	}
	if r.URL.Path == "/severs" {
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	err = backendPage.Execute(w, map[string]any{
		"Path": r.URL.Path, "URI": r.RequestURI, "User": r.Header.Get("X-SSO-User"),
		"Next": template.URL(r.URL.Query().Get("next")), "Resume": template.URL(r.URL.Query().Get("resume")), //nolint:gosec // the tests' own
		"Problem": r.URL.Query().Get("error"),
	})
	if err != nil {
		panic(err)
	}
}

var backendPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Backend</title>
<main>
{{- if eq .Path "/opener"}}
<h1>Opener</h1>
<button id="go">Open</button>
<script>
let target, heard = [], opened;
addEventListener("message", (e) => heard.push({origin: e.origin, data: e.data}));
document.getElementById("go").addEventListener("click", () => { opened = window.open(target, "", "popup"); });
</script>
{{- else if eq .Path "/severs"}}
<h1>Elsewhere</h1>
<p><a href="{{.Next}}">Go on</a></p>
{{- else if eq .Path "/signed-out"}}
<h1>You are not signed in to the arena</h1>
<p id="problem">{{.Problem}}</p>
{{with .Resume}}<p><a href="{{.}}">Sign in to the arena</a></p>{{end}}
{{- else}}
<h1>Backend</h1>
<p>Hello, <span id="user">{{.User}}</span>, at <span id="address">{{.URI}}</span>.</p>
<form method="post" action="/oauth2/sign_out"><button>Sign out</button></form>
{{- end}}
</main>
</html>
`))
