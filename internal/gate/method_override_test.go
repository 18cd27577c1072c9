package gate

import (
	"net/http"
	"testing"
)

// Some backends and frameworks take a header for the path, as those do that were
// made to stand behind IIS.
func TestClass33NoHeaderNamesAnotherPathToWhatAMatcherLeavesOut(t *testing.T) {
	for _, name := range []string{"X-Original-URL", "X-Rewrite-URL", "x!rewrite!url"} {
		f := newFixture(t)
		protects(f.gate, "/admin")
		for _, allowed := range []bool{false, true} {
			f.gate.AllowRawPath = allowed
			r := raw(t, http.MethodGet, "/public", name, "/admin/users", "X-Original-URL-Of", "kept")
			f.serve(r)
			if got := r.Header.Get(name) != ""; got != allowed {
				t.Errorf("%s goes on: %v, where raw paths are allowed: %v", name, got, allowed)
			}
			if r.Header.Get("X-Original-URL-Of") == "" {
				t.Error("another header is gone")
			}
		}
	}
}

func TestClass33TheFailAuthURLIsNoOtherPathByAHeader(t *testing.T) {
	for _, name := range []string{"X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X!HTTP!Method!Override", "X-HTTP-Method"} {
		f := newFixture(t)
		f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
		if got := f.serve(raw(t, http.MethodGet, "/signed-out")); got.Code != http.StatusOK {
			t.Fatalf("the page itself: %d", got.Code)
		}
		if got := f.serve(raw(t, http.MethodGet, "/signed-out", name, "/admin")); got.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
}
