package portal_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/portal"
)

func TestAnAddressMayBeLongAndNotTooLong(t *testing.T) {
	f := newFixture(t)
	room := portal.MaxContext - len(authorization) - len("&x=")
	for filling, status := range map[string]int{
		strings.Repeat("a", room): http.StatusOK, strings.Repeat("<", room): http.StatusOK,
		strings.Repeat("a", room+1): http.StatusBadRequest, strings.Repeat("<", 60<<10): http.StatusBadRequest,
	} {
		b := f.visitor()
		query := authorization + "&x=" + filling
		w := b.open(portal.SignInPath + "?" + query)
		want(t, w, status)
		if status != http.StatusOK {
			continue
		}
		in := b.form(w)
		in.action = portal.SignInPath
		if w = b.submit(in, "demo", "demo password"); leadsTo(w) != "/api/oauth2/auth?"+query {
			t.Errorf("%.80s: status %d, led to %.200s", filling, w.Code, leadsTo(w))
		}
	}
	// A path of the portal's own origin, as long as a gate takes it.
	for _, path := range []string{"/" + strings.Repeat("&", 8<<10), "/?return=" + strings.Repeat("%26", 8<<10)} {
		sealed, err := f.hosted.Keys.Seal(t.Context(), portal.ReturnLabel, []byte(path))
		if err != nil {
			t.Fatal(err)
		}
		b := f.visitor()
		if w := b.submit(b.form(b.open(portal.ReturnTo("", sealed))), "demo", "demo password"); leadsTo(w) != issuer+path {
			t.Errorf("%.80s: status %d, led to %.200s", path, w.Code, leadsTo(w))
		}
	}
}
