package portal_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider/providertest"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
)

func owning(o *provider.Options) { o.OwnSubjects = true }

// Class 16: what a provider ends is ended under the subject of before, too.
func TestClass16AProviderEndsWhatBeganUnderEitherSubject(t *testing.T) {
	for _, claims := range []map[string]any{{"sub": "d|1"}, {"sub": "d|1", "sid": "s"}} {
		f := newAtProvider(t)
		signIn := providertest.Merged(claims, map[string]any{"preferred_username": "dora"})
		before := f.signsIn(signIn)
		f.acme = f.provider.Method(owning, func(o *provider.Options) { o.Now = f.clock.Now })
		f.use(f.hosted.Methods[0], f.acme)
		since := f.signsIn(signIn)
		if old, now := f.signedIn(before).Subject, f.signedIn(since).Subject; old == now || now != "d|1" {
			t.Fatalf("the subjects are %s and %s", old, now)
		}
		others := f.signsIn(map[string]any{"sub": "e|1", "preferred_username": "eve"})
		want(t, f.logsOut(f.logoutToken(map[string]any{"sub": "d|1"})), http.StatusOK)
		if f.who(before.session()) != "" || f.who(since.session()) != "" || f.who(others.session()) != "eve" {
			t.Errorf("%v: left are %q and %q, and %q", claims, f.who(before.session()), f.who(since.session()), f.who(others.session()))
		}
	}
}

// Class 18: whichever user a backend names for a wrong password, no account of
// another method has its attempts used up.
func TestClass18ABackendUsesUpNoAttemptsOfALocalUser(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	method := b.Method("accounts", time.Minute)
	method.UseOwnSubjects()
	f.use(f.hosted.Methods[0], method)
	b.Says(http.StatusUnauthorized, fmt.Sprintf(`{"error":"wrong","user":{"subject":%q}}`, subjects.Derive("local", "demo")))
	for i := range 20 {
		f.from = "192.0.2.7"
		f.visitor().try(fmt.Sprintf("someone%d", i), "wrong")
	}
	f.from = "192.0.2.8"
	v := f.visitor()
	want(t, v.try("demo", "demo password"), http.StatusOK)
	if f.who(v.session()) != "demo" {
		t.Error("the local user was kept out")
	}
}
