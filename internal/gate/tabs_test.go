package gate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/session"
)

func TestClass15ACookieFromBeforeNeverBecomesTheSession(t *testing.T) {
	f := newFixture(t)
	planted := strings.Repeat("A", 43)
	b := f.browser()
	b.keep(siteOrigin, f.gate.Sites[1].Cookie.Name, planted)
	b.enter(demo)
	first := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]
	if first == planted {
		t.Fatal("the planted token became the session")
	}
	if _, err := f.gate.Server.SignedInAtSite(t.Context(), planted, "1"); err == nil {
		t.Fatal("the planted token opens the session")
	}
	// A sign-in is a new token; another tab of the same sign-in has that one.
	w := b.open(SignInPath)
	b.want(b.open(b.portal(w.Header().Get("Location"))), http.StatusFound)
	if same := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]; same != first {
		t.Fatal("another tab replaced the session of its neighbour")
	}
	b.signIn(demo)
	w = b.open(SignInPath)
	b.want(b.open(b.portal(w.Header().Get("Location"))), http.StatusFound)
	if second := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]; second == first {
		t.Fatal("a second sign-in kept the token")
	}
	if _, err := f.gate.Server.SignedInAtSite(t.Context(), first, "1"); err == nil {
		t.Fatal("the token that was replaced still opens the session")
	}
}

// Tabs that are opened at once replace each other's binding. A user who has signed in
// by then stays who they are.
func TestClass15AnAnswerForAnotherTabSignsNobodyElseIn(t *testing.T) {
	f := newFixture(t)
	bob := session.User{Subject: "2f0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11", Name: "bob", Signin: "local"}
	f.users[bob.Subject] = bob
	other := f.browser()
	other.signIn(bob)
	theirs := other.portal(other.open("/theirs").Header().Get("Location"))

	b := f.browser()
	b.enter(demo)
	before := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]
	w := b.open(theirs)
	b.want(w, http.StatusFound)
	if got := w.Header().Get("Location"); got != siteOrigin+"/theirs" {
		t.Errorf("led to %q", got)
	}
	if after := b.cookies[siteOrigin][f.gate.Sites[1].Cookie.Name]; after != before {
		t.Error("the session was replaced")
	}
	b.want(b.open("/theirs"), http.StatusOK)
	if got := f.last.Header.Get("X-Sso-User"); got != demo.Name {
		t.Errorf("the upstream sees %q", got)
	}
	// The code is spent.
	w = other.open(theirs)
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, portalOrigin+"/api/oauth2/auth?") {
		t.Errorf("the code still works: led to %q", got)
	}
}
