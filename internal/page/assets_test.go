package page_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// addresses returns the assets that the pages of p link to.
func addresses(t *testing.T, p *page.Pages) []string {
	t.Helper()
	seen := map[string]bool{}
	var found []string
	for _, view := range everyPage() {
		w := httptest.NewRecorder()
		write(t, p, w, view)
		for _, address := range regexp.MustCompile(`/sso/assets/[^"]+`).FindAllString(w.Body.String(), -1) {
			if !seen[address] {
				seen[address] = true
				found = append(found, address)
			}
		}
	}
	return found
}

func get(p *page.Pages, method, address string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, address, nil)
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	w := httptest.NewRecorder()
	p.Assets().ServeHTTP(w, r)
	return w
}

// scripts returns all scripts by their address.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	p := newPages(t, page.Brand{})
	bodies := map[string]string{}
	for _, address := range addresses(t, p) {
		if strings.HasSuffix(address, ".js") {
			bodies[address] = get(p, http.MethodGet, address).Body.String()
		}
	}
	if len(bodies) != 11 {
		t.Fatalf("%d scripts, want 11", len(bodies))
	}
	return bodies
}

func TestAssetsMayBeCachedForEver(t *testing.T) {
	p := newPages(t, page.Brand{})
	for _, address := range addresses(t, p) {
		t.Run(address, func(t *testing.T) {
			if !regexp.MustCompile(`^/sso/assets/[a-z]+\.[0-9a-f]{16}\.(css|js|svg)$`).MatchString(address) {
				t.Error("no hash in the name")
			}
			full := get(p, http.MethodGet, address)
			if full.Code != http.StatusOK || full.Body.Len() == 0 {
				t.Fatalf("status %d, %d bytes", full.Code, full.Body.Len())
			}
			if got := full.Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
				t.Errorf("Cache-Control: %q", got)
			}
			if got := full.Header().Get("X-Content-Type-Options"); got != "nosniff" {
				t.Errorf("X-Content-Type-Options: %q", got)
			}
			etag := full.Header().Get("ETag")
			if !strings.Contains(address, strings.Trim(etag, `"`)) {
				t.Errorf("ETag %s is not the hash in %s", etag, address)
			}
			if again := get(p, http.MethodGet, address, "If-None-Match", etag); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
				t.Errorf("with its ETag: status %d, %d bytes", again.Code, again.Body.Len())
			}
			head := get(p, http.MethodHead, address)
			if head.Code != http.StatusOK || head.Body.Len() != 0 || head.Header().Get("Content-Type") != full.Header().Get("Content-Type") {
				t.Errorf("HEAD: status %d, %d bytes, type %q", head.Code, head.Body.Len(), head.Header().Get("Content-Type"))
			}
		})
	}
}

func TestAssetsServeNothingElse(t *testing.T) {
	p := newPages(t, page.Brand{})
	css := ""
	for _, address := range addresses(t, p) {
		if strings.HasSuffix(address, ".css") {
			css = address
		}
	}
	for name, test := range map[string]struct {
		method, path string
		want         int
	}{
		"an unknown name":              {http.MethodGet, "/sso/assets/page.0000000000000000.css", http.StatusNotFound},
		"a name without its hash":      {http.MethodGet, "/sso/assets/page.css", http.StatusNotFound},
		"a path out of the folder":     {http.MethodGet, "/sso/assets/../page.go", http.StatusNotFound},
		"the folder":                   {http.MethodGet, "/sso/assets/", http.StatusNotFound},
		"an asset under another path":  {http.MethodGet, strings.Replace(css, "/sso/", "/other/", 1), http.StatusNotFound},
		"a method that is not reading": {http.MethodPost, css, http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(p, test.method, test.path)
			if w.Code != test.want {
				t.Errorf("status %d, want %d", w.Code, test.want)
			}
			if cache := w.Header().Get("Cache-Control"); strings.Contains(cache, "immutable") {
				t.Errorf("Cache-Control: %q", cache)
			}
		})
	}
}

func TestTheStylesheetIsMadeForTheBrand(t *testing.T) {
	byName := func(accent, extension string) (address, body string) {
		p := newPages(t, page.Brand{Accent: accent})
		for _, address := range addresses(t, p) {
			if strings.HasSuffix(address, extension) {
				return address, get(p, http.MethodGet, address).Body.String()
			}
		}
		return "", ""
	}
	for _, extension := range []string{".css", ".svg"} {
		plain, _ := byName("", extension)
		green, body := byName("#0A7B43", extension)
		if plain == green {
			t.Errorf("two brands share %s", plain)
		}
		if !strings.Contains(body, "#0a7b43") || strings.Contains(body, "#accent") {
			t.Errorf("%s is not in the accent colour", green)
		}
	}
}
