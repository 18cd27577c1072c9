package caddymodule

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// customered has two customers with a sign-in page of their own each, and a
// provider that is nobody's. Client 4 names one of the customers' pages.
const customered = `signin trusted acme-page {
			name "Acme Incorporated"
			icon https://icons.acme.example/logo.svg
			url https://acme.example/sign-in
			secret sixteen-letters-or-more
		}
		signin trusted umbrella-page {
			name "Umbrella Corporation"
			url https://umbrella.example/sign-in
			secret sixteen-letters-or-more
		}
		signin trusted social {
			name "Anybody’s provider"
			url https://social.example/sign-in
			secret sixteen-letters-or-more
		}
		client 2 {
			public
			redirect_uri https://app.example/sso
			token_alg ES256
		}
		client 4 {
			public
			redirect_uri http://PORTAL/oauth2/callback
			signin local acme-page
			token_alg ES256
		}
		client 5 {
			public
			redirect_uri http://PORTAL/oauth2/callback
			token_alg ES256
		}
		license {
			api_key key {env.LICENSE_TEST_SHARED_KEY}
			customer_account acme {
				signin acme-page
			}
			customer_account umbrella {
				signin umbrella-page
			}
			product demo {
				client 2
				redirect_uri http://localhost https://app.example/sso
				customer_account acme umbrella
			}
		}`

var startLink = regexp.MustCompile(`href="(/sso/with/([^"?]+)\?t=[^"]+)"`)

// starts are the buttons of a sign-in page that lead to a provider, by its ID.
func starts(page answered) map[string]string {
	found := map[string]string{}
	for _, m := range startLink.FindAllStringSubmatch(page.body, -1) {
		found[m[2]] = html.UnescapeString(m[1])
	}
	return found
}

// authorize is the query of a request of a client.
func authorize(client, redirectURI string) string {
	return url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirectURI}, "scope": {""}, "state": {"12345678"}, "audience": {client},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}.Encode()
}

func TestNobodyLearnsWhoTheCustomersAre(t *testing.T) {
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	for name, gate := range map[string]struct {
		portal  string
		methods []string // of the sign-in page of that gate
	}{
		"a gate on the portal's origin, for everybody":        {"sso_gate {\nclient 5\n}\nrespond ok", []string{"social"}},
		"a gate on the portal's origin, for Acme's own alone": {"sso_gate {\nclient 4\n}\nrespond ok", []string{"acme-page"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustLoad(setup{global: strings.ReplaceAll(customered, "PORTAL", w.portal), portal: gate.portal})
			portal := "http://" + w.portal
			game := authorize("1", "http://"+w.site+"/oauth2/callback")
			for where, page := range map[string]struct {
				url     string
				methods []string
			}{
				"without an application":              {portal + "/sso/sign_in", []string{"social"}},
				"for another account":                 {portal + "/sso/sign_in?switch=1", []string{"social"}},
				"of a parameter that names a method":  {portal + "/sso/sign_in?signin=ACME-PAGE&provider=acme-page", []string{"social"}},
				"of the account page":                 {portal + "/sso/account", []string{"social"}},
				"of the sessions page":                {portal + "/sso/sessions", []string{"social"}},
				"for a client":                        {portal + "/sso/sign_in?" + game, []string{"social"}},
				"for a client of OpenID Connect":      {portal + "/oauth2/authorize?" + game, []string{"social"}},
				"for the client of a product":         {portal + "/sso/sign_in?" + authorize("2", "https://app.example/sso"), []string{"social"}},
				"for an account that no link names":   {portal + "/oauth2/authorize?customer_account_code=acme&" + authorize("2", "https://app.example/sso"), []string{"social"}},
				"for the gate on the portal's origin": {portal + "/private", gate.methods},
				"for a gate on a site of its own":     {"http://" + w.site + "/", []string{"social"}},
			} {
				v := w.visitor()
				got := v.get(page.url)
				offered := starts(got)
				for _, method := range page.methods {
					if offered[method] == "" {
						t.Errorf("%s: %s is not offered: %s", where, method, got.body)
					}
				}
				if len(offered) != len(page.methods) {
					t.Errorf("%s: the page offers %v", where, offered)
				}
				if slices.Contains(page.methods, "acme-page") {
					continue
				}
				said := got.body
				for _, values := range got.Header {
					said += strings.Join(values, "\n")
				}
				if namesCustomer(said) {
					t.Errorf("%s: %v %s", where, got.Header, got.body)
				}

				// Nor does its transaction lead to a customer's page by hand.
				for _, id := range []string{"acme-page", "umbrella-page"} {
					direct := v.getOnce(portal + strings.Replace(offered["social"], "/social?", "/"+id+"?", 1))
					unknown := v.getOnce(portal + strings.Replace(offered["social"], "/social?", "/none?", 1))
					if direct.StatusCode != http.StatusNotFound || direct.body != unknown.body {
						t.Errorf("%s: %s: %s, Location %q", where, id, direct.Status, direct.Header.Get("Location"))
					}
				}
			}
		})
	}
}

// namesCustomer reports whether a text has more of a customer than was asked with.
func namesCustomer(s string) bool {
	return slices.ContainsFunc([]string{"Acme Incorporated", "acme.example", "/with/acme-page", "Umbrella", "umbrella"}, func(name string) bool {
		return strings.Contains(s, name)
	})
}

func TestTheAPIsForScriptsNameNoCustomer(t *testing.T) {
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	w := newWorld(t)
	w.mustLoad(setup{global: strings.ReplaceAll(customered, "PORTAL", w.portal)})
	v := w.visitor()
	portal := "http://" + w.portal
	query := authorize("1", "http://"+w.site+"/oauth2/callback")
	for _, what := range []string{"login_url", "login_redirect"} {
		unknown := v.getOnce(portal + "/api/oauth2/social/none/" + what + "?" + query)
		for _, id := range []string{"acme-page", "umbrella-page"} {
			got := v.getOnce(portal + "/api/oauth2/social/" + id + "/" + what + "?" + query)
			if got.StatusCode != http.StatusNotFound || got.body != unknown.body {
				t.Errorf("%s of %s: %s: %s", what, id, got.Status, got.body)
			}
		}
		if got := v.getOnce(portal + "/api/oauth2/social/social/" + what + "?" + query); got.StatusCode >= 400 {
			t.Errorf("%s of a method for all: %s: %s", what, got.Status, got.body)
		}
	}
	for _, path := range []string{
		"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/oauth2/jwks", "/api/projects/1/keys",
		"/api/v4/oauth_url", "/api/v4/sso_url?product=demo&customer_account_code=x", "/sso/callback/acme-page?state=x", "/sso/with/acme-page?t=x", "/sso/sign_out",
	} {
		if got := v.getOnce(portal + path); namesCustomer(got.body) {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	// Who has no key does not learn whether there is an account.
	known, unknown := v.getOnce(portal+"/api/v4/sso_url?product=demo&customer_account_code=acme"), v.getOnce(portal+"/api/v4/sso_url?product=demo&customer_account_code=none")
	if known.StatusCode != http.StatusBadRequest || known.body != unknown.body {
		t.Errorf("%s, and of an unknown account %s", known.body, unknown.body)
	}
}
