package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// loaded runs one slice of wrk against a handler.
func loaded(t *testing.T, w row, cookies []string, h http.HandlerFunc) slice {
	t.Helper()
	for tool, pkg := range map[string]string{"wrk": "wrk", "taskset": "util-linux"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing; install the Debian package %s", tool, pkg)
		}
	}
	server := httptest.NewServer(h)
	defer server.Close()
	r := run{slice: time.Second, connections: 2, dir: t.TempDir()}
	w.cookies = filepath.Join(r.dir, "cookies")
	if err := writeLines(w.cookies, cookies); err != nil {
		t.Fatal(err)
	}
	w.name, w.path = "x", "/page?q=1"
	w.host = strings.Replace(strings.TrimPrefix(server.URL, "http://"), "127.0.0.1", "localhost", 1)
	s, err := r.wrk(t.Context(), w, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheRequestIsABrowsersWithCookiesInTurn(t *testing.T) {
	var mu sync.Mutex
	var sample *http.Request
	seen := map[string]int{}
	s := loaded(t, row{status: http.StatusOK}, []string{"c=0", "c=1", "c=2"}, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sample = r
		seen[r.Header.Get("Cookie")]++
	})
	if s.errors() != 0 || s.requests < 10 || s.p50 <= 0 || s.p99 < s.p50 {
		t.Errorf("slice is %+v", s)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := len(sample.Header) + 1; n != 11 { // and Host
		t.Errorf("the request has %d headers, want 11: %v", n, sample.Header)
	}
	if sample.URL.RequestURI() != "/page?q=1" || !strings.HasPrefix(sample.Host, "localhost:") {
		t.Errorf("asked for %s of %s", sample.URL.RequestURI(), sample.Host)
	}
	if len(seen) != 3 || max(seen["c=0"], seen["c=1"], seen["c=2"])-min(seen["c=0"], seen["c=1"], seen["c=2"]) > 3 {
		t.Errorf("cookies were sent so often: %v", seen)
	}
}

func TestEveryUnexpectedAnswerIsAnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		row    row
		status int
		to     string
		wrong  bool
	}{
		{"the status and place that are expected", row{status: 302, location: "http://a/cb?code="}, 302, "http://a/cb?code=1", false},
		{"another place", row{status: 302, location: "http://a/cb?code="}, 302, "http://a/sso/sign_in", true},
		{"no place", row{status: 302, location: "http://a/cb?code="}, 302, "", true},
		{"a redirect in place of the page", row{status: 200}, 302, "/", true},
		{"a refusal", row{status: 200}, 401, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := loaded(t, c.row, []string{"c=0"}, func(w http.ResponseWriter, _ *http.Request) {
				if c.to != "" {
					w.Header().Set("Location", c.to)
				}
				w.WriteHeader(c.status)
			})
			// wrk stops between an answer and its count, so not all of them.
			if c.wrong != (s.wrong > 0) || s.broken > 0 || c.wrong && (s.wrong < s.requests*9/10 || s.status != c.status) {
				t.Errorf("in %d requests %s", s.requests, failures([]slice{s}))
			}
		})
	}
}

func TestWithoutAResultThereIsAnError(t *testing.T) {
	for _, out := range []string{"", "RESULT 0 1000000 0 0 0 0 0\n", "RESULT 1 x\n"} {
		if s, err := parseWrk([]byte(out)); err == nil {
			t.Errorf("%q gives %+v", out, s)
		}
	}
}
