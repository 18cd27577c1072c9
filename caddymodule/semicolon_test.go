package caddymodule

import (
	"net/http"
	"net/url"
	"testing"
)

// RFC 3986 section 3.4 allows a semicolon in a query as it is. What url.ParseQuery
// makes of it must lose no sign-in: the form of the page posts to an
// address that has it, and a transaction holds it.
func TestAStateWithASemicolonComesBackFromTheSignInPage(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: `client 2 {
			name Wiki
			secret "a secret of many letters"
			redirect_uri https://wiki.example/cb
			default_audience
		}`})
	issuer := "http://" + w.portal
	for _, path := range []string{"/api/oauth2/auth", "/oauth2/authorize"} {
		browser := w.browser()
		var left *url.URL // where the browser leaves the portal
		browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Host == w.portal {
				return nil
			}
			left = r.URL
			return http.ErrUseLastResponse
		}
		page := read(t, browser, issuer+path+"?client_id=2&response_type=code&scope=openid&redirect_uri=https://wiki.example/cb&state=12345678;a=b")
		page = submit(t, browser, issuer, page, url.Values{"username": {"demo"}, "password": {"demo"}})
		read(t, browser, absolute(t, issuer, refreshOf(t, page)))
		if left == nil || left.Query().Get("state") != "12345678;a=b" || left.Query().Get("code") == "" {
			t.Errorf("%s: came back with %v", path, left)
		}
	}
}
