package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	relying "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Another user is signed in than the application's id_token_hint names: the page says
// so, accepts only the expected user, and continues with that user.
func TestAnotherUserThanTheHintNamesIsAskedToSignInAsThatOne(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{local: "user eve HASH", global: `client 2 {
			name Wiki
			secret "a secret of many letters"
			redirect_uri https://wiki.example/cb
		}`})
	issuer := "http://" + w.portal
	provider, err := relying.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	party := oauth2.Config{ClientID: "2", ClientSecret: "a secret of many letters", RedirectURL: "https://wiki.example/cb", Endpoint: provider.Endpoint(), Scopes: []string{"openid"}}
	var left *url.URL // where a browser leaves the portal
	browser := func() *http.Client {
		b := w.browser()
		b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Host == w.portal {
				return nil
			}
			left = r.URL
			return http.ErrUseLastResponse
		}
		return b
	}
	signIn := func(b *http.Client, page, name string) string {
		t.Helper()
		page = submit(t, b, issuer, page, url.Values{"username": {name}, "password": {"demo"}})
		if strings.Contains(page, "http-equiv") {
			read(t, b, absolute(t, issuer, refreshOf(t, page)))
		}
		return page
	}
	demos := browser()
	signIn(demos, read(t, demos, party.AuthCodeURL("first")), "demo")
	token, err := party.Exchange(t.Context(), left.Query().Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)

	eves := browser()
	signIn(eves, read(t, eves, party.AuthCodeURL("second")), "eve")
	left = nil
	page := read(t, eves, party.AuthCodeURL("third", oauth2.SetAuthURLParam("id_token_hint", raw)))
	if left != nil || !strings.Contains(page, "You are signed in as <strong><bdi>eve</bdi></strong>, but <bdi>Wiki</bdi> asks for another account.") {
		t.Fatalf("went to %v:\n%s", left, page)
	}
	if page = signIn(eves, page, "eve"); left != nil || !strings.Contains(page, "This account cannot be used for Wiki") {
		t.Fatalf("went to %v:\n%s", left, page)
	}
	signIn(eves, page, "demo")
	if left == nil || left.Query().Get("state") != "third" || left.Query().Get("code") == "" {
		t.Errorf("came back with %v", left)
	}
}
