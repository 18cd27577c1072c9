package page_test

import (
	"net/http/httptest"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func TestClass21PolicyCannotBeInjected(t *testing.T) {
	for _, icon := range []string{
		"https://forge.example; script-src */icon.svg", "https://forge.example 'unsafe-inline'/icon.svg",
		"https://forge.example;script-src/icon.svg", "https://forge.example,evil.example/icon.svg", "https://forge.example:*/icon.svg",
		"https://forge.example:/icon.svg", "https://*.forge.example/icon.svg", "https://*/icon.svg", "https:///icon.svg", "https://bücher.example/icon.svg",
		"*", "'self'", "javascript:", "data:", "DATA:", "blob:",
		"https://forge.example\r\nSet-Cookie: a=b", "https://u@forge.example/icon.svg",
	} {
		t.Run(icon, func(t *testing.T) {
			p, err := page.New(page.Brand{}, page.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			p.SignIn(w, request(), 200, page.SignIn{
				Form: page.Form{Action: "/sso/sign-in"}, Providers: []page.Provider{{Name: "Forge", URL: "/sso/social/forge", Icon: icon}},
			})
			if got := w.Header().Get("Content-Security-Policy"); w.Code != 500 || got != policyWith("", "'none'") {
				t.Errorf("status %d, policy %q", w.Code, got)
			}
		})
	}
}

func TestPolicyNamesTheOriginOfAnImage(t *testing.T) {
	for icon, want := range map[string]string{
		"https://forge.example/icon.svg?x=1":   " https://forge.example",
		"https://forge.example:8443/icon.svg":  " https://forge.example:8443",
		"http://localhost:8081/icon.svg":       " http://localhost:8081",
		"http://[::1]:8081/icon.svg":           " http:", // CSP cannot spell it
		"/icon.svg":                            "",
		"http://127.0.0.1/a;b'c/*?d=https://*": " http://127.0.0.1",
	} {
		t.Run(icon, func(t *testing.T) {
			w, _ := render(t, &page.SignIn{
				Form: page.Form{Action: "/sso/sign-in"}, Providers: []page.Provider{{Name: "Forge", URL: "/sso/social/forge", Icon: icon}},
			})
			if got := w.Header().Get("Content-Security-Policy"); got != policyWith(want, "'self'") {
				t.Errorf("policy %q", got)
			}
		})
	}
}
