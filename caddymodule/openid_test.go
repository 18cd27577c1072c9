package caddymodule

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	relying "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A relying party and a browser, through Caddy: sign in, come back, sign out.
func TestARelyingPartySignsInAndOutAtThePortal(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: `client 2 {
			name Wiki
			secret "a secret of many letters"
			redirect_uri https://wiki.example/cb
			post_logout_redirect_uri https://wiki.example/bye
			scope email groups
		}`})
	issuer := "http://" + w.portal
	provider, err := relying.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	var discovered struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&discovered); err != nil {
		t.Fatal(err)
	}
	party := oauth2.Config{
		ClientID: "2", ClientSecret: "a secret of many letters", RedirectURL: "https://wiki.example/cb", Endpoint: provider.Endpoint(),
		Scopes: []string{"openid", "email", "groups"},
	}
	browser := w.browser()
	var left *url.URL // where the browser leaves the portal
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == w.portal {
			return nil
		}
		left = r.URL
		return http.ErrUseLastResponse
	}
	challenge := oauth2.GenerateVerifier()
	page := read(t, browser, party.AuthCodeURL("a state", relying.Nonce("a nonce"), oauth2.S256ChallengeOption(challenge), oauth2.SetAuthURLParam("prompt", "login")))
	if !strings.Contains(page, "Wiki") {
		t.Fatalf("the sign-in page does not say for what: %s", page)
	}
	page = submit(t, browser, issuer, page, url.Values{"username": {"demo"}, "password": {"demo"}})
	read(t, browser, absolute(t, issuer, refreshOf(t, page)))
	if left == nil || left.Query().Get("state") != "a state" || left.Query().Get("iss") != issuer {
		t.Fatalf("came back with %v", left)
	}
	token, err := party.Exchange(t.Context(), left.Query().Get("code"), oauth2.VerifierOption(challenge))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&relying.Config{ClientID: "2"}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil || id.Nonce != "a nonce" {
		t.Errorf("nonce %q, at_hash: %v", id.Nonce, err)
	}
	info, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
	if err != nil || info.Email != "demo@example.com" || info.Subject != id.Subject {
		t.Fatalf("user info %+v: %v", info, err)
	}

	bye := url.Values{"client_id": {"2"}, "post_logout_redirect_uri": {"https://wiki.example/bye"}, "state": {"s"}}
	page = read(t, browser, discovered.EndSession+"?"+bye.Encode())
	if !strings.Contains(page, "Sign out?") {
		t.Fatalf("without a hint it does not ask: %s", page)
	}
	bye.Set("id_token_hint", raw)
	left = nil
	read(t, browser, discovered.EndSession+"?"+bye.Encode())
	if left == nil || left.String() != "https://wiki.example/bye?state=s" {
		t.Errorf("after the sign-out: %v", left)
	}
	if _, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token)); err == nil {
		t.Error("the token outlived its session")
	}
}

func read(t *testing.T, browser *http.Client, address string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return body(t, browser, r)
}

func body(t *testing.T, browser *http.Client, r *http.Request) string {
	t.Helper()
	response, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var attribute = map[string]*regexp.Regexp{
	"action":      regexp.MustCompile(`<form method="post" action="([^"]+)"`),
	"transaction": regexp.MustCompile(`name="transaction" value="([^"]+)"`),
	"refresh":     regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]*)"`),
}

func find(t *testing.T, page, name string) string {
	t.Helper()
	found := attribute[name].FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no %s in %s", name, page)
	}
	return html.UnescapeString(found[1])
}

func refreshOf(t *testing.T, page string) string {
	t.Helper()
	return find(t, page, "refresh")
}

func absolute(t *testing.T, issuer, link string) string {
	t.Helper()
	base, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// submit sends the form of a page as the browser would.
func submit(t *testing.T, browser *http.Client, issuer, page string, form url.Values) string {
	t.Helper()
	form.Set("transaction", find(t, page, "transaction"))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, absolute(t, issuer, find(t, page, "action")), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", issuer)
	return body(t, browser, r)
}
