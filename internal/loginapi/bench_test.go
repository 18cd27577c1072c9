package loginapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
)

// discard is a ResponseWriter that keeps the status alone.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkAuth is the handler of the authorization endpoint, with a session
// and a live cookie, without the server around it; BenchmarkRedirect is what
// a static redirect costs there.
func BenchmarkAuth(b *testing.B) {
	w := newWorld(b)
	w.Server.Audit = nil
	cookie, _ := w.signIn(ada)
	r := httptest.NewRequest(http.MethodGet, "/api/oauth2/auth?"+game().Encode(), nil)
	r.Header.Set("Cookie", cookie)
	w.Server.Limits = codes.Limits{Capacity: 1 << 30, PerSession: 1 << 30}
	rw := &discard{header: http.Header{}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%100_000 == 0 {
			w.Server.Codes = codes.NewMemory(codes.Options{})
		}
		clear(rw.header)
		w.api.Endpoint(r.URL.Path)(rw, r)
		if rw.status != http.StatusFound {
			b.Fatal(rw.status)
		}
	}
}

func BenchmarkRedirect(b *testing.B) {
	rw := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(rw.header)
		rw.header.Set("Location", callback)
		rw.WriteHeader(http.StatusFound)
	}
}

// BenchmarkTokenES256 is the redemption of a code with PKCE, the signature included.
func BenchmarkTokenES256(b *testing.B) {
	w := newWorld(b)
	w.Server.Audit = nil
	w.Server.Limits = codes.Limits{Capacity: 1 << 30, PerSession: 1 << 30}
	cookie, _ := w.signIn(ada)
	auth := httptest.NewRequest(http.MethodGet, "/api/oauth2/auth?"+game("client_id", "5").Encode(), nil)
	auth.Header.Set("Cookie", cookie)
	rw := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		clear(rw.header)
		w.api.Endpoint(auth.URL.Path)(rw, auth)
		location, err := url.Parse(rw.header.Get("Location"))
		if err != nil {
			b.Fatal(err)
		}
		body := redemption(location.Query().Get("code"), "client_id", "5").Encode()
		r := httptest.NewRequest(http.MethodPost, "/api/oauth2/token", strings.NewReader(body))
		r.Header.Set("Content-Type", form)
		clear(rw.header)
		rw.status = 0
		b.StartTimer()
		w.api.Endpoint(r.URL.Path)(rw, r)
		if rw.status != http.StatusOK {
			b.Fatal(rw.status)
		}
	}
}

// BenchmarkRefreshES256 is one refresh token after the other, each from the
// answer before: a signature, and a compare-and-swap in memory.
func BenchmarkRefreshES256(b *testing.B) {
	w := newWorld(b)
	w.Server.Audit = nil
	cookie, _ := w.signIn(ada)
	token := w.refreshToken(w.token(redemption(w.code(cookie, game("client_id", "5", "scope", "offline")), "client_id", "5")))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r := httptest.NewRequest(http.MethodPost, "/api/oauth2/token", strings.NewReader(refreshing(token, "client_id", "5").Encode()))
		r.Header.Set("Content-Type", form)
		rw := httptest.NewRecorder()
		b.StartTimer()
		w.api.Endpoint(r.URL.Path)(rw, r)
		b.StopTimer()
		token = w.refreshToken(answer{Status: rw.Code, Body: rw.Body.String()})
		w.Clock.Advance(time.Minute) // after the grace, as clients do
		b.StartTimer()
	}
}
