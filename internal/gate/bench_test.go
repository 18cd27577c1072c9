package gate

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

// BenchmarkHandle is a gate with a valid session, and a request as browsers
// send it. The header map is the same for all, so it is put back each time.
func BenchmarkHandle(b *testing.B) {
	f := newFixture(b)
	cookie := func() string {
		visitor := f.browser()
		visitor.enter(demo)
		return visitor.request("/").Header.Get("Cookie")
	}()
	sent := http.Header{
		"Accept":             {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
		"Accept-Encoding":    {"gzip, deflate, br, zstd"},
		"Accept-Language":    {"en-GB,en;q=0.9,de;q=0.8"},
		"Cookie":             {"theme=dark; " + cookie + "; lang=en"},
		"Referer":            {siteOrigin + "/"},
		"Sec-Fetch-Dest":     {"document"},
		"Sec-Fetch-Mode":     {"navigate"},
		"Sec-Fetch-Site":     {"same-origin"},
		"Sec-Ch-Ua-Platform": {`"Linux"`},
		"Connection":         {"keep-alive"},
		"User-Agent":         {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
	}
	r := withTable(httptest.NewRequestWithContext(b.Context(), "GET", "/world/7?a=b", nil))
	r.Host = "localhost:8081"
	header := maps.Clone(sent)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		clear(table(r.Context()))
		header["Cookie"] = sent["Cookie"]
		r.Header = header
		pass, ok := f.gate.Handle(w, r)
		if !ok {
			b.Fatal("refused")
		}
		pass.Release()
	}
}

// BenchmarkBearer is a gate and a token, which was verified before or is now.
func BenchmarkBearer(b *testing.B) {
	for name, remembers := range map[string]bool{"cached": true, "verified": false} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			if !remembers {
				f.gate.Server.Verified = nil
			}
			sent := http.Header{
				"Accept":          {"application/json"},
				"Accept-Encoding": {"gzip"},
				"Authorization":   bearer(f.tokens(f.browser().signIn(demo)).Access),
				"User-Agent":      {"game/1.0"},
			}
			r := withTable(httptest.NewRequestWithContext(b.Context(), "GET", "/api/inventory?a=b", nil))
			r.Host = "localhost:8081"
			header := maps.Clone(sent)
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				clear(table(r.Context()))
				r.Header = header
				pass, ok := f.gate.Handle(w, r)
				if !ok {
					b.Fatal("refused")
				}
				pass.Release()
			}
		})
	}
}

// BenchmarkVerifySignature is what a token costs by itself.
func BenchmarkVerifySignature(b *testing.B) {
	f := newFixture(b)
	token := f.tokens(f.browser().signIn(demo)).Access
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.gate.Keys.Verify(b.Context(), token, keys.EdDSA); err != nil {
			b.Fatal(err)
		}
	}
}
