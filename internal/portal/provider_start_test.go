package portal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/signin"
)

// depart leaves for a provider as an API sends browsers there.
func (b *visitor) depart(id, rawQuery string) (*url.URL, *oauth.Error) {
	b.f.t.Helper()
	client, _ := b.f.hosted.Server.Clients.Get("1")
	r := httptest.NewRequestWithContext(b.f.t.Context(), http.MethodGet, "/api/oauth2/social/"+id+"/login_redirect", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	to, refusal := b.f.hosted.StartAtProvider(w, r, &oauth.Authorization{Client: client}, rawQuery, id)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	u, err := url.Parse(to)
	if err != nil {
		b.f.t.Fatal(err)
	}
	return u, refusal
}

func TestABrowserThatAnAPISentToAProviderComesBackSignedIn(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor() // without a cookie yet
	to, refusal := b.depart("acme", authorization)
	if refusal != nil || to.Host != "acme.example" {
		t.Fatalf("to %v: %v", to, refusal)
	}
	page := b.back("acme", to.Query().Get("state"), "ann")
	want(t, page, http.StatusOK)
	if f.who(b.session()) != "ann.acme" || leadsTo(page) != "/api/oauth2/auth?"+authorization {
		t.Errorf("signed in as %q, and it leads to %q", f.who(b.session()), leadsTo(page))
	}
}

func TestClass22WhatAnAPISentAwayIsBoundToItsBrowser(t *testing.T) {
	f := newOutsideFixture(t)
	attacker, victim := f.visitor(), f.visitor()
	to, _ := attacker.depart("acme", authorization)
	victim.open(portal.SignInPath)
	page := victim.back("acme", to.Query().Get("state"), "ann")
	want(t, page, http.StatusBadRequest)
	if victim.session() != "" {
		t.Error("the victim is signed in as another user")
	}
}

func TestWhereAnAPICannotSendBrowsers(t *testing.T) {
	f := newOutsideFixture(t)
	_, refusal := f.visitor().depart("github", authorization)
	wantRefusal(t, refusal, oauth.UnknownProvider)
	_, refusal = f.visitor().depart("local", authorization)
	wantRefusal(t, refusal, oauth.UnknownProvider)
	_, refusal = f.visitor().depart("acme", authorization+"&x="+strings.Repeat("x", portal.MaxState))
	wantRefusal(t, refusal, oauth.InvalidRequest)
	f.acme.startErr = &signin.DownError{RetryAfter: time.Minute}
	_, refusal = f.visitor().depart("acme", authorization)
	wantRefusal(t, refusal, oauth.ProviderFailed)
	if refusal.RetryAfter != time.Minute {
		t.Errorf("Retry-After %v", refusal.RetryAfter)
	}
	f.acme.startErr = errors.New("unforeseen")
	_, refusal = f.visitor().depart("acme", authorization)
	wantRefusal(t, refusal, oauth.Internal)
}

func TestWhichMethodsAreProviders(t *testing.T) {
	f := newOutsideFixture(t)
	for id, outside := range map[string]bool{"acme": true, "umbrella": true, "local": false, "": false, "github": false} {
		if f.hosted.Methods.IsProvider(id) != outside {
			t.Errorf("%q is one: %v", id, !outside)
		}
	}
	narrow := &oauth.Authorization{Methods: []string{"acme", "local"}}
	if !f.hosted.Provider(narrow, "acme") || f.hosted.Provider(narrow, "umbrella") || f.hosted.Provider(narrow, "local") {
		t.Error("a request that takes acme alone gets another provider")
	}
}

func TestWithoutAnApplicationOnlyTheCommonMethodsCount(t *testing.T) {
	f := newOutsideFixture(t)
	sealed, err := f.hosted.Keys.Seal(t.Context(), portal.ReturnLabel, []byte("/x?y=z"))
	if err != nil {
		t.Fatal(err)
	}
	before := f.visitor()
	state := before.leave(before.open(portal.SignInPath), "acme") // under a configuration where it counted
	transaction := strings.TrimPrefix(links(before.open(portal.SignInPath), portal.StartPrefix+"acme?")[0], portal.StartPrefix+"acme")

	f.hosted.CommonMethods = []string{f.local.ID(), "umbrella"}
	for _, address := range []string{portal.SignInPath, portal.SignInPath + "?switch=1", portal.ReturnTo("", sealed)} {
		w := f.visitor().open(address)
		want(t, w, http.StatusOK)
		if len(links(w, portal.StartPrefix+"umbrella?")) != 1 || len(links(w, portal.StartPrefix+"acme?")) != 0 {
			t.Errorf("%s offers %q", address, links(w, portal.StartPrefix))
		}
	}
	want(t, before.open(portal.StartPrefix+"acme"+transaction), http.StatusNotFound)
	want(t, before.back("acme", state, "ann"), http.StatusNotFound)
	if before.session() != "" || f.acme.ended != 0 {
		t.Error("a user was signed in")
	}

	f.use(f.acme, f.umbrella)
	f.hosted.CommonMethods = []string{"-"} // customers' methods alone
	for _, address := range []string{portal.SignInPath, portal.ReturnTo("", sealed)} {
		w := f.visitor().open(address)
		want(t, w, http.StatusForbidden)
		wantText(t, w, "Sign in from your application", "It leads you to the sign-in page of your organisation.")
		if strings.Contains(strings.ToLower(w.Body.String()), "acme") {
			t.Errorf("%s names a method: %s", address, w.Body)
		}
	}
	raw, err := url.QueryUnescape(strings.TrimPrefix(transaction, "?t="))
	if err != nil {
		t.Fatal(err)
	}
	want(t, before.do("POST", portal.SignInPath, url.Values{"transaction": {raw}, "username": {"demo"}, "password": {"demo password"}}, sameOrigin...), http.StatusBadRequest)
}
