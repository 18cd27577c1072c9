package portal_test

import (
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

// A gate on the portal's own origin has no callback: the page itself asks again.
func TestAGateOfTheSameOriginAsksForAFreshSignIn(t *testing.T) {
	f := newFixture(t)
	sealed, err := f.hosted.Keys.Seal(t.Context(), portal.GateReturnLabel, []byte("1/private"))
	if err != nil {
		t.Fatal(err)
	}
	b := f.visitor()
	b.submit(b.form(b.open(portal.ReturnTo("", sealed))), "demo", "demo password")
	f.clock.Advance(2 * time.Hour)
	after := "&auth_after=" + oauth.FormatAuthAfter(f.clock.Now().Add(-time.Hour))

	wantText(t, b.open(portal.ReturnTo("", sealed)), `href="`+issuer+`/private"`)
	w := b.open(portal.ReturnTo("", sealed) + after)
	wantText(t, w, "but <bdi>Demo game</bdi> asks you to sign in again.")
	if w = b.submit(b.form(w), "demo", "demo password"); leadsTo(w) != issuer+"/private" {
		t.Fatalf("status %d, led to %q", w.Code, leadsTo(w))
	}
	wantText(t, b.open(portal.ReturnTo("", sealed)+after), `href="`+issuer+`/private"`)
	want(t, f.visitor().open(portal.ReturnTo("", sealed)+"&auth_after=soon"), 400)
}
