package portal_test

import (
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
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

// The claims and the time of authentication reach the session, for a user of the provider
// and for one who is linked; the groups of the latter are those of here.
func TestWhatAProviderStatesReachesTheSession(t *testing.T) {
	for name, change := range map[string][]func(*provider.Options){"on their own": nil, "linked": {linking}} {
		t.Run(name, func(t *testing.T) {
			f := newAtProvider(t, change...)
			f.acme.ReadClaims(func() []string { return []string{"department"} })
			claims := verifiedAs("demo@example.com")
			claims["department"], claims["auth_time"] = "art", f.clock.Now().Add(-2*time.Hour).Unix()
			b := f.signsIn(claims)
			in, err := f.hosted.Server.SignedIn(t.Context(), b.session())
			if err != nil {
				t.Fatal(err)
			}
			if has, read := in.User.Claims.Has("department", "art"); !has || !read {
				t.Errorf("the claims are %v", in.User.Claims)
			}
			if age := f.clock.Now().Sub(in.Session.AuthTime()); age < 119*time.Minute || age > 121*time.Minute {
				t.Errorf("authenticated %s ago", age)
			}
			delete(claims, "auth_time")
			in, err = f.hosted.Server.SignedIn(t.Context(), f.signsIn(claims).session())
			if err != nil || f.clock.Now().Sub(in.Session.AuthTime()) < 24*time.Hour {
				t.Errorf("a time that was not stated counts as %s, %v", in.Session.AuthTime(), err)
			}
		})
	}
	f := newFixture(t)
	b := f.visitor()
	b.try("demo", "demo password")
	if in, err := f.hosted.Server.SignedIn(t.Context(), b.session()); err != nil || !in.Session.AuthTime().Equal(in.Session.Begun()) {
		t.Errorf("a password was checked at %v, %v", in.Session, err)
	}
}
