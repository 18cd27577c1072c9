package caddymodule

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/httphandler"
	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/session"
)

// speaker is a backend that sends what a path asks for.
func speaker(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	for name, values := range r.URL.Query() {
		header[http.CanonicalHeaderKey(name)] = values
	}
	switch r.URL.Path {
	case "/hints":
		header.Set("Link", "</a.css>; rel=preload")
		rw.WriteHeader(http.StatusEarlyHints)
	case "/missing":
		rw.WriteHeader(http.StatusNotFound)
	case "/fresh":
		rw.WriteHeader(http.StatusNotModified)
		return
	case "/nothing":
		rw.WriteHeader(http.StatusNoContent)
		return
	case "/stream":
		io.WriteString(rw, "first\n")          //nolint:errcheck // the test sees it
		http.NewResponseController(rw).Flush() //nolint:errcheck // the test sees it
		<-r.Context().Done()
		return
	}
	io.WriteString(rw, strings.Repeat("body ", 1000)) //nolint:errcheck // the test sees it
}

func TestWhatASignedInPersonGetsIsPrivateWhereTheBackendSaysNothing(t *testing.T) {
	w := newWorld(t)
	backend := httptest.NewServer(http.HandlerFunc(speaker))
	t.Cleanup(backend.Close)
	if err := os.WriteFile(filepath.Join(w.dir, "page.html"), []byte("<p>page"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := freeAddr(t)
	s := setup{
		gate:   "allow_client 9",
		global: strings.Replace(backendClient, "client 2", "client 9", 1) + "\nclient 5 {\npublic\nredirect_uri http://" + open + "/cb\n}\n",
		handler: "encode gzip\nhandle /page.html {\nroot DIR\nfile_server\n}\nrespond /text text\nheader /said Cache-Control max-age=60\nheader /later >Cache-Control max-age=61\nrespond /said said\nrespond /later later\n" +
			"reverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + " {\nflush_interval -1\n}",
		sites: "http://" + open + " {\nsso_gate /a/* {\nclient 5\n}\nsso_gate /a/b/* {\nclient 5\n}\nreverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n}\n",
	}
	w.mustLoad(s)
	v := w.visitor()
	v.signIn("http://" + w.site + "/")
	own := v.tokenOf("9")
	var hints []textproto.MIMEHeader
	ask := func(v *visitor, method, target string, headers ...string) []string {
		t.Helper()
		r := v.request(method, "http://"+target, "")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		got := v.send(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
				hints = append(hints, header)
				return nil
			},
		})))
		return got.Header["Cache-Control"]
	}
	private := []string{"private"}
	for target, want := range map[string][]string{
		"/a":                                  private,
		"/missing":                            private,
		"/fresh":                              private,
		"/nothing":                            private,
		"/hints":                              private,
		"/page.html":                          private,
		"/text":                               private,
		"/said":                               {"max-age=60"},
		"/later":                              {"max-age=61"},
		"/a?Cache-Control=public,+max-age=60": {"public, max-age=60"},
		"/a?Cache-Control=no-store":           {"no-store"},
		"/a?Cache-Control=":                   {""},
		"/a?Cache-Control=a&Cache-Control=b":  {"a", "b"},
		"/a?Expires=Fri,+01+Jan+2100+00:00:00+GMT": private,
		"/a?Pragma=no-cache":                       {"no-cache"}, // as net/http reads it (RFC 9111 section 5.4)
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if got := ask(v, method, w.site+target); !slices.Equal(got, want) {
				t.Errorf("%s %s: Cache-Control %q, want %q", method, target, got, want)
			}
		}
	}
	if len(hints) == 0 || slices.ContainsFunc(hints, func(h textproto.MIMEHeader) bool { return h["Cache-Control"] != nil }) {
		t.Errorf("the early hints are %v", hints)
	}
	if got := ask(w.visitor(), http.MethodGet, w.site+"/a", "Authorization", "Bearer "+v.access()); !slices.Equal(got, private) {
		t.Errorf("with a token: %q", got)
	}
	if got := ask(w.visitor(), http.MethodGet, w.site+"/a", "Authorization", "Bearer "+own); !slices.Equal(got, private) {
		t.Errorf("with a client's own token: %q", got)
	}
	if got := ask(v, http.MethodGet, open+"/public"); got != nil {
		t.Errorf("where the policy does not apply: %q", got)
	}
	for _, path := range []string{"/a/x", "/a/b/x"} {
		if got := ask(v, http.MethodGet, open+path); !slices.Equal(got, private) {
			t.Errorf("%s: %q", path, got)
		}
	}

	// A stream has it with its first byte.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := v.Do(v.request(http.MethodGet, "http://"+w.site+"/stream", "").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != "first\n" || !slices.Equal(resp.Header["Cache-Control"], private) {
		t.Errorf("the stream began with %q, %v, Cache-Control %q", line, err, resp.Header["Cache-Control"])
	}
	cancel()
	resp.Body.Close()

	s.gate += "\ncache_private off"
	s.options = "grace_period 10ms"
	w.mustLoad(s)
	if got := ask(v, http.MethodGet, w.site+"/a"); got != nil {
		t.Errorf("with cache_private off: %q", got)
	}
}

// What a gate adds after its decision: placeholders, and the writer.
func BenchmarkPass(b *testing.B) {
	g, user := new(Gate), &session.User{Name: "demo", Groups: []string{"players"}}
	w := httptest.NewRecorder()
	bare := httptest.NewRequestWithContext(b.Context(), "GET", "/", nil)
	begin := func() *http.Request {
		ctx := context.WithValue(b.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
		clear(w.Header())
		return bare.WithContext(context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{"client_ip": "::1", "trusted_proxy": false}))
	}
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			begin()
			w.WriteHeader(http.StatusOK)
		}
	})
	b.Run("passed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := begin()
			httphandler.SetUser(r, user)
			g.answerWriter(w, gate.Pass{Request: r, User: user, Known: true}).WriteHeader(http.StatusOK)
		}
	})
}
