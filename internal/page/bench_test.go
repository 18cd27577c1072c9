package page_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func BenchmarkSignInPage(b *testing.B) {
	p, err := page.New(page.Brand{Name: "Northwind"}, page.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/sso/sign_in", nil)
	r.Header.Set("Accept-Language", "en-GB,en;q=0.9,de;q=0.8")
	view := page.SignIn{App: "Acme", Form: page.Form{Action: "/sso/sign_in", Transaction: "sealed"}, Scopes: scopes("email", "inventory")}
	b.ReportAllocs()
	for b.Loop() {
		p.SignIn(httptest.NewRecorder(), r, http.StatusOK, view)
	}
}

func BenchmarkMessagePage(b *testing.B) {
	p, err := page.New(page.Brand{Name: "Northwind"}, page.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	view := page.Message{App: "Acme", Fault: page.FaultTooManySignIns, RetryAfter: time.Minute, Link: &page.Link{Label: page.LinkTryAgain, URL: "/"}}
	b.ReportAllocs()
	for b.Loop() {
		p.Message(httptest.NewRecorder(), r, http.StatusTooManyRequests, view)
	}
}
