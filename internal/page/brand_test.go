package page_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func TestNewRefusesABadBrandAndSaysWhatWouldBeRight(t *testing.T) {
	for name, test := range map[string]struct {
		brand page.Brand
		want  string // in the error
	}{
		"a colour name":              {page.Brand{Accent: "red"}, "six hexadecimal digits"},
		"a short colour":             {page.Brand{Accent: "#f00"}, "six hexadecimal digits"},
		"a colour with a sign":       {page.Brand{Accent: "#+f0000"}, "six hexadecimal digits"},
		"a colour that says more":    {page.Brand{Accent: "#ff0000;}body{display:none"}, "six hexadecimal digits"},
		"a logo over plain http":     {page.Brand{Logo: "http://cdn.example/logo.png"}, "https://"},
		"a logo that is script":      {page.Brand{Logo: "javascript:alert(1)"}, "https://"},
		"a logo on a nameless host":  {page.Brand{Logo: "https:///logo.png"}, "scheme://host"},
		"a logo beside the page":     {page.Brand{Logo: "logo.png"}, "absolute path"},
		"a logo without a scheme":    {page.Brand{Logo: "//cdn.example/logo.png"}, "absolute path"},
		"a logo with user and host":  {page.Brand{Logo: "https://me@cdn.example/logo.png"}, "https://"},
		"a logo that widens img-src": {page.Brand{Logo: "https://*/logo.png"}, "scheme://host"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := page.New(test.brand, page.Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestNewRefusesAssetsElsewhere(t *testing.T) {
	for _, prefix := range []string{"//cdn.example/", "https://cdn.example/", "assets/", `/\cdn.example`} {
		if _, err := page.New(page.Brand{}, page.Options{AssetPrefix: prefix}); err == nil {
			t.Errorf("prefix %q was taken", prefix)
		}
	}
}

func TestTheBrandStandsAboveThePage(t *testing.T) {
	for name, test := range map[string]struct {
		brand            page.Brand
		text, src, image string // image: what img-src has beside 'self' and data:
	}{
		"without settings: a neutral name and the mark": {
			page.Brand{}, "Single sign-on", "/sso/assets/mark.", "",
		},
		"a name beside the mark": {
			page.Brand{Name: "Northwind"}, "Northwind", "/sso/assets/mark.", "",
		},
		"a logo alone": {
			page.Brand{Logo: "/logo.svg"}, "", "/logo.svg", "",
		},
		"a logo and a name": {
			page.Brand{Name: "Northwind", Logo: "https://cdn.example/a/logo.svg?v=2"}, "Northwind", "https://cdn.example/a/logo.svg?v=2", " https://cdn.example",
		},
		"a logo from this machine": {
			page.Brand{Logo: "http://127.0.0.1:9000/logo.svg"}, "", "http://127.0.0.1:9000/logo.svg", " http://127.0.0.1:9000",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			newPages(t, test.brand).SignedOut(w, request(), page.SignedOut{})
			header := elements(parse(t, w.Body.String()), "header")[0]
			if got := text(header); got != test.text {
				t.Errorf("text %q, want %q", got, test.text)
			}
			if got := attr(elements(header, "img")[0], "src"); !strings.HasPrefix(got, test.src) {
				t.Errorf("image %q, want %q", got, test.src)
			}
			if got, want := w.Header().Get("Content-Security-Policy"), policyWith(test.image, "'none'"); got != want {
				t.Errorf("policy %q, want %q", got, want)
			}
		})
	}
}
