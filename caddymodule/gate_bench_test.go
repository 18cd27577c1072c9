package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-sso/caddy-sso/session"
)

// benchGate is a gate of an app that has a configured user, and the cookie of that
// user's site session.
func benchGate(b *testing.B) (*Gate, *http.Cookie) {
	b.Helper()
	config, err := adapt(strings.ReplaceAll(`{
	admin off
	persist_config off
	sso {
		issuer http://localhost:8080
		storage memory
		signin local {
			user demo HASH {
				email demo@example.com
				group players
			}
		}
		client 1 {
			public
			redirect_uri http://localhost:8081/oauth2/callback
		}
	}
}`, "HASH", demoHash))
	if err != nil {
		b.Fatal(err)
	}
	if err := caddy.Load(config, false); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			b.Error(err)
		}
	})
	g := &Gate{Client: "1"}
	if err := g.Provision(caddy.ActiveContext()); err != nil {
		b.Fatal(err)
	}
	c, err := g.app.runtime()
	if err != nil {
		b.Fatal(err)
	}
	user := c.Server.Named("demo")[0]
	_, sso, err := c.Server.Sessions.Begin(b.Context(), session.SignIn{User: user})
	if err != nil {
		b.Fatal(err)
	}
	token, err := c.Server.Sessions.BeginSite(b.Context(), sso, "1", "")
	if err != nil {
		b.Fatal(err)
	}
	w := httptest.NewRecorder()
	session.NewCookie("site", &url.URL{Scheme: "http", Host: "localhost:8081"}, "1").Set(w, token.Encode(), 0)
	return g, w.Result().Cookies()[0]
}

// BenchmarkGate is sso_gate as Caddy runs it, with a configured user who is signed in,
// and a request as browsers send it.
func BenchmarkGate(b *testing.B) {
	g, cookie := benchGate(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://localhost:8081/world/7?a=b", nil)
	for name, value := range map[string]string{
		"Accept":             "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"Accept-Encoding":    "gzip, deflate, br, zstd",
		"Accept-Language":    "en-GB,en;q=0.9,de;q=0.8",
		"Referer":            "http://localhost:8081/",
		"Sec-Fetch-Dest":     "document",
		"Sec-Fetch-Mode":     "navigate",
		"Sec-Fetch-Site":     "same-origin",
		"Sec-Ch-Ua-Platform": `"Linux"`,
		"User-Agent":         "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	} {
		r.Header.Set(name, value)
	}
	cookies := []string{"theme=dark; " + cookie.Name + "=" + cookie.Value + "; lang=en"}
	vars := map[string]any{}
	r = r.WithContext(context.WithValue(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars), caddy.ReplacerCtxKey, caddy.NewReplacer()))
	w, passed := httptest.NewRecorder(), 0
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { passed++; return nil })
	b.ReportAllocs()
	for b.Loop() {
		delete(vars, "sso_visit") // of the request before
		r.Header["Cookie"] = cookies
		if err := g.ServeHTTP(w, r, next); err != nil {
			b.Fatal(err)
		}
	}
	if passed != b.N {
		b.Fatalf("%d of %d requests passed, the last answer is %d", passed, b.N, w.Code)
	}
}
