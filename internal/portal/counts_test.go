package portal_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/session"
)

func TestWhoDoesNotCountGetsNoSessionAndAnotherTry(t *testing.T) {
	f := newOutsideFixture(t)
	f.asks.Methods, f.asks.EmailDomains = []string{"acme"}, []string{"acme.example"}
	b := f.visitor()
	w := b.back("acme", b.away(b.open(openID)), "bob")
	want(t, w, http.StatusForbidden)
	wantText(t, w, "This account cannot be used for Demo game", "bob@other.example", "Demo game")
	if b.session() != "" {
		t.Fatal("a user is signed in")
	}
	again := links(w, portal.StartPrefix+"acme?")
	if len(again) != 1 {
		t.Fatalf("there is no other try: %s", w.Body)
	}
	w = b.back("acme", b.away(b.open(again[0])), "ann")
	want(t, w, http.StatusOK)
	if f.who(b.session()) != "ann.acme" || !f.acme.left[1].SelectAccount {
		t.Errorf("%q is signed in, having left with %+v", f.who(b.session()), f.acme.left[1])
	}
	// Nor does an address that only looks right, or none at all.
	for _, email := range []string{"", "x@acme.example@other.example", "x@sub.acme.example", "acme.example"} {
		f.acme.users["mallory"] = session.User{Subject: "m", Name: "mallory@acme.example", Email: email}
		b := f.visitor()
		want(t, b.back("acme", b.away(b.open(openID)), "mallory"), http.StatusForbidden)
		if b.session() != "" {
			t.Errorf("%q is signed in", email)
		}
	}
}

func TestAPasswordOfAnAccountThatDoesNotCountSignsNobodyIn(t *testing.T) {
	f := newOutsideFixture(t)
	f.asks.EmailDomains = []string{"acme.example"}
	b := f.visitor()
	w := b.submit(b.form(b.open(openID)), "demo", "demo password")
	want(t, w, http.StatusForbidden)
	wantText(t, w, "This account cannot be used for Demo game")
	if b.session() != "" {
		t.Error("a user is signed in")
	}
}

func TestASessionThatDoesNotCountIsAskedForAgain(t *testing.T) {
	for name, c := range map[string]struct {
		asks  func(*oauth.Authorization, time.Time)
		texts []string // nil: it counts
		again bool     // the same user may
	}{
		"any will do":          {asks: func(*oauth.Authorization, time.Time) {}},
		"the user is to agree": {asks: func(a *oauth.Authorization, _ time.Time) { a.Confirm = true }},
		"another method": {
			asks:  func(a *oauth.Authorization, _ time.Time) { a.Methods = []string{"acme"} },
			texts: []string{"You are signed in as <strong><bdi>demo</bdi></strong>, but you cannot use this account for <bdi>Demo game</bdi>."},
		},
		"another address": {
			asks:  func(a *oauth.Authorization, _ time.Time) { a.EmailDomains = []string{"acme.example"} },
			texts: []string{"<bdi>demo</bdi></strong>, but you cannot use this account for"},
		},
		"a newer one": {
			asks:  func(a *oauth.Authorization, now time.Time) { a.AuthAfter = now },
			texts: []string{"<bdi>demo</bdi></strong>, but <bdi>Demo game</bdi> asks you to sign in again."}, again: true,
		},
	} {
		f := newOutsideFixture(t)
		b := f.visitor()
		want(t, b.try("demo", "demo password"), http.StatusOK)
		f.clock.Advance(time.Minute)
		c.asks(&f.asks, f.clock.Now())
		w := b.open(openID)
		want(t, w, http.StatusOK)
		goesOn := strings.Contains(w.Body.String(), `href="/oauth2/authorize?client_id=1&amp;x=%20y"`)
		if goesOn != (c.texts == nil) {
			t.Errorf("%s: leads on: %v: %s", name, goesOn, w.Body)
		}
		wantText(t, w, c.texts...)
		if name := `name="username" type="text" value="demo"`; strings.Contains(w.Body.String(), name) != c.again {
			t.Errorf("%s: the name is filled in: %v", name, !c.again)
		}
		if c.texts == nil {
			wantText(t, w, "Use another account", `href="/sso/sign_in/oauth2?client_id=1&amp;prompt=consent&amp;x=%20y&amp;switch=1"`)
			continue
		}
		state := b.leave(w, "acme")
		if d := f.acme.left[0]; d.SelectAccount == c.again || !d.AuthAfter.Equal(f.asks.AuthAfter) {
			t.Errorf("%s: left with %+v", name, d)
		}
		f.asks.AuthAfter = time.Time{}
		want(t, b.back("acme", state, "ann"), http.StatusOK)
		if who := f.who(b.session()); who != "ann.acme" {
			t.Errorf("%s: %q is signed in", name, who)
		}
	}
}
