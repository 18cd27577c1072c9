package page_test

import (
	"net/http/httptest"
	"testing"

	"github.com/caddy-sso/caddy-sso/page"
)

func TestFormTarget(t *testing.T) {
	for uri, want := range map[string]string{
		"https://app.example/callback?x=1":   "https://app.example",
		"http://localhost:8081/cb":           "http://localhost:8081",
		"acme-app:/callback":                 "acme-app:",
		"com.example.app://host/callback":    "com.example.app:",
		"http://[::1]:8081/cb":               "http:", // CSP cannot spell it
		"https://u:p@app.example/cb":         "https://app.example",
		"javascript:alert(1)":                "",
		"data:text/html,x":                   "",
		"/relative":                          "",
		"":                                   "",
		"https:///cb":                        "",
		"https://*.example/cb":               "",
		"https://app.example;script-src/cb":  "",
		"https://app.example,evil.example/x": "",
		"https://bücher.example/cb":          "",
	} {
		t.Run(uri, func(t *testing.T) {
			got, err := page.FormTarget(uri)
			if want == "" && err == nil {
				t.Fatalf("%q, want an error", got)
			}
			if want != "" && (err != nil || got != want) {
				t.Fatalf("%q, error %v, want %q", got, err, want)
			}
		})
	}
}

func TestClass21PolicyCannotBeInjected(t *testing.T) {
	for _, target := range []string{
		"https://app.example; script-src *", "https://app.example 'unsafe-inline'", "https://app.example/path",
		"https://app.example:*", "https://app.example:", "https://*.app.example", "https://*", "https://", "*",
		"'self'", "", ":", "acme app:", "acme-app:x", "1app:", "javascript:", "data:", "DATA:", "blob:",
		"https://app.example\r\nSet-Cookie: a=b", "https://app.example,https://evil.example", "https://u@app.example",
	} {
		t.Run(target, func(t *testing.T) {
			p, err := page.New(page.Brand{}, page.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			p.SignIn(w, 200, page.SignIn{Form: page.Form{Action: "/sso/sign-in", Targets: []string{target}}})
			if got := w.Header().Get("Content-Security-Policy"); w.Code != 500 || got != policyWith("", "'none'") {
				t.Errorf("status %d, policy %q", w.Code, got)
			}
		})
	}
}
