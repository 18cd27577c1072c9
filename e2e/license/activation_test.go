package license

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/e2e/licenseclient"
)

// routes are those whose requests may carry a credential.
var routes = []string{
	"/api/v4/activate_license", "/api/v4/activate_bundle", "/api/v4/floating/borrow",
	"/api/v4/floating/feature_borrow", "/api/v4/user_licenses",
}

// post is a request to the license backend, as JSON unless it is varied.
func (w *world) post(t *testing.T, route string, body []byte, vary ...func(*http.Request)) *harness.Response {
	t.Helper()
	resp, err := w.tryPost(route, body, harness.NewClient(t), vary...)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func (w *world) tryPost(route string, body []byte, c *harness.Client, vary ...func(*http.Request)) (*harness.Response, error) {
	r, err := http.NewRequest(http.MethodPost, w.license.Gate+route, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, v := range vary {
		v(r)
	}
	return c.Do(r)
}

// sealed is a request that has to be refused: the client reads an error of the
// API, and nothing reaches the backend.
func (w *world) sealed(t *testing.T, resp *harness.Response, before, status int, code string) {
	t.Helper()
	wantRefused(t, licenseclient.ReadError(resp.Status, []byte(resp.Body)), status, code)
	if resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the refusal is %s", resp.Header.Get("Content-Type"))
	}
	if n := len(w.backend.Requests()) - before; n != 0 {
		t.Errorf("%d requests reached the backend, the last with %s", n, w.backend.Last(t).Body)
	}
}

func TestEveryRouteVerifiesItsCredentialWithAndWithoutATrailingSlash(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.app(t, harness.NewClient(t))
	code := a.code(t, harness.Demo)
	for _, route := range routes {
		for _, slash := range []string{"", "/"} {
			t.Run(route+slash, func(t *testing.T) {
				before := len(w.backend.Requests())
				w.sealed(t, w.post(t, route+slash, a.Activation("no-code-of-ours", "")), before, 400, "invalid_code")
				w.sealed(t, w.post(t, route+slash, a.Activation("", "no.token.of-ours")), before, 401, "invalid_id_token")

				body := a.Activation(code, "")
				if resp := w.post(t, route+slash, body); resp.Status != http.StatusOK || resp.Body != harness.LicenseAnswer {
					t.Fatalf("answered %d: %s", resp.Status, resp.Body)
				}
				got := w.backend.Last(t)
				wantIdentity(t, got, harness.Demo.Name, harness.Demo.Email, "demo", "other")
				if !bytes.Equal(got.Body, body) || got.URI != route+slash {
					t.Errorf("the backend got, at %s:\n%s", got.URI, got.Body)
				}
				code = a.newCode(t)
			})
		}
	}
	t.Run("user_licenses takes it in the query, too", func(t *testing.T) {
		query := "?product=demo&customer_account_code=other&code="
		c := harness.NewClient(t)
		before := len(w.backend.Requests())
		w.sealed(t, c.Fetch(w.license.Gate+routes[4]+query+"none"), before, 400, "invalid_code")
		if resp := c.Fetch(w.license.Gate + routes[4] + query + code); resp.Status != http.StatusOK {
			t.Fatalf("answered %d: %s", resp.Status, resp.Body)
		}
		wantIdentity(t, w.backend.Last(t), harness.Demo.Name, harness.Demo.Email, "demo", "other")
	})
}

// spellings are headers that a backend could take for ours.
var spellings = []string{
	"X-SSO-User", "x-sso-user", "X_SSO_USER", "X-Sso_User", "X.SSO.User", "x!sso!user", "X-SSO-Email", "X_SSO_Email",
	"X-SSO-Subject", "X-SSO-Groups", "X_SSO_GROUPS", "X-SSO-License-Product", "X_SSO_License_Product", "x.sso.license.product",
	"X-SSO-License_Product", "X-SSO-License-Customer-Account", "x_sso_license_customer_account", "X-SSO-Anything",
}

const forged = "another-user"

// forge adds headers as they are spelled.
func forge(r *http.Request) {
	for _, name := range spellings {
		r.Header[name] = append(r.Header[name], forged)
	}
	r.Header.Set("Connection", "X-SSO-User, X-SSO-License-Product")
}

func TestClass02ForgedIdentityHeadersReachTheLicenseBackendInNoSpelling(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.app(t, harness.NewClient(t))
	code := a.code(t, harness.Demo)
	for name, tt := range map[string]struct {
		route, body string
		identified  bool
	}{
		"an activation by code":      {routes[0], string(a.Activation(code, "")), true},
		"one by license key":         {routes[0], `{"hardware_id":"h","product":"demo","license_key":"AAAA"}`, false},
		"one by user name":           {routes[0], `{"hardware_id":"h","product":"demo","username":"u","password":"p"}`, false},
		"another route of the site":  {"/api/v4/check_license", `{"code":"of its own","product":"demo"}`, false},
		"a route that is no API's":   {"/", "anything", false},
		"a route with a sign in it":  {"/api/v4/activate_license/more", `{"license_key":"AAAA"}`, false},
		"an empty activation":        {routes[0], "", false},
		"a null in place of a code":  {routes[0], `{"code":null,"license_key":"AAAA"}`, false},
		"an empty one beside a key":  {routes[0], `{"code":"","id_token":"","customer_account_code":"","license_key":"AAAA"}`, false},
		"an activation of a package": {routes[1], `{"license_key":"AAAA"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.backend.Requests())
			resp := w.post(t, tt.route, []byte(tt.body), forge)
			if resp.Status != http.StatusOK || resp.Body != harness.LicenseAnswer {
				t.Fatalf("answered %d: %s", resp.Status, resp.Body)
			}
			if n := len(w.backend.Requests()) - before; n != 1 {
				t.Fatalf("%d requests reached the backend", n)
			}
			got := w.backend.Last(t)
			if string(got.Body) != tt.body {
				t.Errorf("the backend got the body\n%q, want\n%q", got.Body, tt.body)
			}
			if strings.Contains(got.Head, forged) {
				t.Errorf("a forged header reached the backend:\n%s", got.Head)
			}
			if tt.identified {
				wantIdentity(t, got, harness.Demo.Name, harness.Demo.Email, "demo", "other")
			} else if strings.Contains(strings.ToLower(got.Head), "sso") {
				t.Errorf("the backend got an identity:\n%s", got.Head)
			}
			if resp.Header.Get("LicenseSignature") != harness.LicenseAnswerSignature {
				t.Error("the backend's signature did not reach the application")
			}
		})
	}
}

// TestCookiesOfThePortalDoNotReachTheLicenseBackend holds that what a browser
// sends along is scrubbed, too, and no identity.
func TestCookiesOfThePortalDoNotReachTheLicenseBackend(t *testing.T) {
	t.Parallel()
	w := start(t)
	browser := harness.NewClient(t)
	w.app(t, browser).code(t, harness.Demo)
	if len(browser.Cookies(w.license.Gate)) == 0 {
		t.Fatal("the browser has no cookies of localhost")
	}
	resp, err := w.tryPost(routes[0], []byte(`{"license_key":"AAAA"}`), browser)
	if err != nil || resp.Status != http.StatusOK {
		t.Fatalf("answered %v: %v", resp, err)
	}
	if got := w.backend.Last(t).Head; strings.Contains(strings.ToLower(got), "sso") {
		t.Errorf("the backend got\n%s", got)
	}
}

func TestABodyOfOneMebibyteArrivesAndALargerOneNever(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.app(t, harness.NewClient(t))
	code := a.code(t, harness.Demo)
	sized := func(n int) []byte {
		body := slices.Clone(a.Activation(code, ""))
		return append(body, bytes.Repeat([]byte(" "), n-len(body))...)
	}
	chunked := func(r *http.Request) { r.Body, r.ContentLength, r.GetBody = io.NopCloser(r.Body), -1, nil }
	for name, vary := range map[string][]func(*http.Request){"with its length": nil, "in chunks": {chunked}} {
		t.Run(name, func(t *testing.T) {
			before := len(w.backend.Requests())
			w.sealed(t, w.post(t, routes[0], sized(1<<20+1), vary...), before, 413, "request_too_large")
			body := sized(1 << 20)
			if resp := w.post(t, routes[0], body, vary...); resp.Status != http.StatusOK {
				t.Fatalf("answered %d: %s", resp.Status, resp.Body)
			}
			if got := w.backend.Last(t); !bytes.Equal(got.Body, body) || !strings.Contains(got.Head, fmt.Sprintf("Content-Length: %d", 1<<20)) {
				t.Errorf("the backend got %d bytes, and the head\n%s", len(got.Body), got.Head)
			}
			code = a.newCode(t)
		})
	}
}
