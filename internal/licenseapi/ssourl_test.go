package licenseapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestThePublishedVectorSigns(t *testing.T) {
	const want = `algorithm="hmac-sha256", headers="date", signature="UDysfR6MndUZReo07Y9r+vErn8vSxrnQ5ulit18iJ/Q=", apikey="key"`
	if got := licenseapi.Authorization("key", licenseapi.NewSharedKey(sharedKey), "Tue, 07 Jun 2011 20:51:35 GMT"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	w := newWorld(t)
	if got := w.send(http.MethodGet, ssoURL+"?"+query(), "", "Date", "Tue, 07 Jun 2011 20:51:35 GMT", "Authorization", want); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestALinkIsCompactJSONAndSigned(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, query string
		params      []string // of the link, in their order
		redirect    string
	}{
		{"of the default grant", query(), []string{"scope", "response_type=code", "client_id=1", "redirect_uri", "customer_account_code=acme", "state", "handle"}, "http://localhost"},
		{"of the code grant", query("response_type", "code"), []string{"scope", "response_type=code", "client_id", "redirect_uri", "customer_account_code", "state", "handle"}, "http://localhost"},
		{"of the token grant", query("response_type", "token"), []string{"scope", "response_type=id_token%20token", "client_id", "redirect_uri", "customer_account_code", "state", "nonce", "handle"}, "http://localhost"},
		{"to a loopback port", query("redirect_uri", "http://localhost:5127"), []string{"scope", "response_type", "client_id", "redirect_uri=http%3A%2F%2Flocalhost%3A5127", "customer_account_code", "state", "handle"}, "http://localhost:5127"},
		{"to the second redirect URI", query("redirect_uri", "https://app.example/sso?a=%3Cb%3E&c"), []string{"scope", "response_type", "client_id", "redirect_uri", "customer_account_code", "state", "handle"}, "https://app.example/sso?a=%3Cb%3E&c"},
		{"for a bundle", query("bundle_code", "all"), []string{"scope", "response_type", "client_id", "redirect_uri", "customer_account_code", "state", "handle"}, "http://localhost"},
		{"with parameters twice, and empty", query() + "&product=demo&response_type=&redirect_uri=", []string{"scope", "response_type=code", "client_id", "redirect_uri", "customer_account_code", "state", "handle"}, "http://localhost"},
	} {
		for _, path := range []string{ssoURL, ssoURL + "/", "//api//v4/sso_url"} {
			t.Run(c.name+" "+path, func(t *testing.T) {
				got := w.send(http.MethodGet, path+"?"+c.query, "", w.signed()...)
				if got.Status != http.StatusOK || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store" {
					t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
				}
				w.wantSigned(got)
				link, ok := strings.CutPrefix(got.Body, `{"url":"`+issuer+`/oauth2/authorize?`)
				link, end := strings.CutSuffix(link, `"}`)
				pairs := strings.Split(link, "&")
				if !ok || !end || len(pairs) != len(c.params) {
					t.Fatal(got.Body)
				}
				for i, want := range c.params {
					if name, _, _ := strings.Cut(pairs[i], "="); pairs[i] != want && name != want {
						t.Errorf("parameter %d is %s, want %s", i, pairs[i], want)
					}
				}
				var body struct{ URL string }
				if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
					t.Fatal(err)
				}
				r := httptest.NewRequest(http.MethodGet, body.URL, nil)
				if got := r.URL.Query().Get("redirect_uri"); got != c.redirect {
					t.Errorf("redirect_uri is %s", got)
				}
				w.authorization(r.URL.Query())
			})
		}
	}
}

func TestARequestWithoutAResponseTypeGetsOneThatTheProductHas(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ byDefault, product, want string }{
		{"code", "demo", "response_type=code&"},
		{"token", "demo", "response_type=id_token%20token&"},
		{"token", "tool", "response_type=code&"}, // it has no other
	} {
		w.Server.Licenses = licenses(t, w.Server.Clients, c.byDefault)
		got := w.send(http.MethodGet, ssoURL+"?"+query("product", c.product), "", w.signed()...)
		if got.Status != http.StatusOK || !strings.Contains(got.Body, c.want) {
			t.Errorf("by default %s, for %s: %d %s", c.byDefault, c.product, got.Status, got.Body)
		}
	}
}

// A client that verifies JSON.stringify of the parsed body sees the same bytes.
func TestTheBodyIsWhatJavaScriptPrints(t *testing.T) {
	w := newWorld(t)
	w.api.OpenIDConfiguration = true
	w.Server.Issuer = "https://<&>\u2028é\"\\\x01\b\f\n\r\t.example"
	got := w.send(http.MethodGet, ssoURL+"?"+query(), "", w.signed()...)
	printed := "https://<&>\u2028é" + `\"\\\u0001\b\f\n\r\t.example`
	want := `,"openid_configuration":{"issuer":"` + printed + `","end_session_endpoint":"` + printed + `/oauth2/end_session","token_endpoint":"` +
		printed + `/oauth2/token","introspection_endpoint":"` + printed + `/oauth2/introspect"}}`
	if !strings.HasPrefix(got.Body, `{"url":"`+printed+`/oauth2/authorize?`) || !strings.HasSuffix(got.Body, want) {
		t.Error(got.Body)
	}
	w.wantSigned(got)
}

func TestOAuthURLSaysWhereTokensAre(t *testing.T) {
	w := newWorld(t)
	for _, target := range []string{"/api/v4/oauth_url?login_type=client_credentials", "/api/v4/oauth_url/?login_type=client_credentials", "/api/v4/oauth_url"} {
		got := w.send(http.MethodGet, target, "")
		if got.Status != http.StatusOK || got.Body != `{"url":"https://login.example/oauth2/token"}` {
			t.Errorf("%s: %d %s", target, got.Status, got.Body)
		}
		w.wantSigned(got)
	}
	if got := w.send(http.MethodHead, "/api/v4/oauth_url", ""); got.Status != http.StatusOK || got.Body != "" || got.Header.Get("LicenseSignature") == "" {
		t.Errorf("HEAD: %d %v", got.Status, got.Header)
	}
	wantError(t, w.send(http.MethodGet, "/api/v4/oauth_url?login_type=password", ""), 400, "validation_error", "login_type should be client_credentials")
	wantError(t, w.send(http.MethodGet, "/api/v4/oauth_url?type=x", ""), 400, "validation_error", "There is a parameter that is not one of [login_type]")
}

func TestThePublicKeyMayBeKept(t *testing.T) {
	w := newWorld(t)
	got := w.send(http.MethodGet, licenseapi.PublicKeyPath, "")
	if got.Status != http.StatusOK || got.Header.Get("Cache-Control") != "public, max-age=300" || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	if strings.Contains(got.Body, "PRIVATE") {
		t.Fatal("the private half is served")
	}
}

func TestOtherMethodsAreNotAllowed(t *testing.T) {
	w := newWorld(t)
	for target, allow := range map[string]string{
		ssoURL: "GET", "/api/v4/oauth_url": "GET, HEAD", licenseapi.PublicKeyPath: "GET, HEAD",
	} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "FROB"} {
			got := w.send(method, target, "", w.signed()...)
			wantError(t, got, 405, "method_not_allowed", "The method is not allowed")
			if got.Header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow is %q", method, target, got.Header.Get("Allow"))
			}
		}
	}
	if got := w.send(http.MethodHead, ssoURL+"?"+query(), "", w.signed()...); got.Status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", got.Status)
	}
}

func TestPathsOfOthersAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/api/v4/sso_urls", "/api/v4/SSO_URL", "/api/v3/sso_url", "/api/v4/sso_url/x", "/sso/account", "/api/v4/activate_license"} {
		if w.api.Endpoint(path) != nil {
			t.Errorf("%s is taken", path)
		}
	}
}

func TestAWrongRequestForALinkIsRefused(t *testing.T) {
	w := newWorld(t)
	const notOne = "There is a parameter that is not one of [product customer_account_code response_type redirect_uri bundle_code]"
	for _, c := range []struct {
		name, query   string
		code, message string
	}{
		{"nothing", "", "missing_parameters", "Some parameters are missing: product, customer_account_code"},
		{"no product", query("product", "-"), "missing_parameters", "Some parameters are missing: product"},
		{"an empty product", query("product", ""), "missing_parameters", "Some parameters are missing: product"},
		{"no account", query("customer_account_code", "-"), "missing_parameters", "Some parameters are missing: customer_account_code"},
		{"an unknown product", query("product", "nope"), "unknown_product", "Provided product was not found"},
		{"a product in another case", query("product", "DEMO"), "unknown_product", "Provided product was not found"},
		{"a product whose client is disabled", query("product", "off"), "unknown_product", "Provided product was not found"},
		{"an unknown account", query("customer_account_code", "nope"), "customer_account_not_found", "Provided customer account was not found, or has no SSO"},
		{"an account that has not the product", query("product", "tool", "customer_account_code", "other"), "customer_account_not_found", "Provided customer account was not found, or has no SSO"},
		{"an unknown response type", query("response_type", "id_token"), "validation_error", "response_type is not one that the product allows."},
		{"a response type that the product has not", query("product", "tool", "response_type", "token"), "validation_error", "response_type is not one that the product allows."},
		{"a redirect URI of another site", query("redirect_uri", "https://evil.example/"), "validation_error", "redirect_uri is not registered for this product."},
		{"a redirect URI with user information", query("redirect_uri", "http://localhost:80@evil.example/"), "validation_error", "redirect_uri is not registered for this product."},
		{"a redirect URI below one that is registered", query("redirect_uri", "http://localhost/x"), "validation_error", "redirect_uri is not registered for this product."},
		{"an unknown parameter", query("state", "x"), "validation_error", notOne},
		{"a parameter in another case", query("Product", "demo"), "validation_error", notOne},
		{"two values", query() + "&product=tool", "validation_error", "product is there more than once, with different values"},
		{"bad escapes", query() + "&redirect_uri=%zz", "validation_error", "redirect_uri is not URL-encoded"},
		{"semicolons", query() + "&redirect_uri=a;b", "validation_error", "redirect_uri is not URL-encoded"},
		{"invalid UTF-8", query() + "&bundle_code=%ff", "validation_error", "bundle_code has control characters or is not UTF-8"},
		{"control characters", query() + "&bundle_code=%00", "validation_error", "bundle_code has control characters or is not UTF-8"},
		{"a long bundle", query("bundle_code", strings.Repeat("b", 129)), "validation_error", "bundle_code is too long"},
		{"a long parameter", query("redirect_uri", strings.Repeat("b", 4097)), "validation_error", "redirect_uri is longer than 4096 bytes"},
		{"a long query", query() + "&" + strings.Repeat("product=demo&", 2000), "validation_error", "The parameters are too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantError(t, w.send(http.MethodGet, ssoURL+"?"+c.query, "", w.signed()...), 400, c.code, c.message)
		})
	}
}

func TestOurOwnFaultIsA503(t *testing.T) {
	w := newWorld(t)
	w.api.Sign = func(context.Context, []byte) ([]byte, error) { return nil, errors.New("secret details") }
	w.api.PublicKey = func(context.Context) ([]byte, error) { return nil, errors.New("secret details") }
	for _, target := range []string{ssoURL + "?" + query(), "/api/v4/oauth_url", licenseapi.PublicKeyPath} {
		got := w.send(http.MethodGet, target, "", w.signed()...)
		wantError(t, got, 503, "service_unavailable", "Something went wrong; try again")
		if got.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", got.Header.Get("Retry-After"))
		}
	}
	if w.log.Len() != 3 {
		t.Errorf("%d lines in the log", w.log.Len())
	}
}

func TestALinkIsGoodForTenMinutes(t *testing.T) {
	w := newWorld(t)
	q := w.link()
	w.Clock.Advance(10 * time.Minute)
	w.authorization(q)
	w.Clock.Advance(time.Second)
	_, refusal := w.Server.CheckOpenID(t.Context(), oauth.OpenIDRequest{
		ResponseType: "code", ClientID: "1", RedirectURI: "http://localhost", State: q.Get("state"), Handle: q.Get("handle"), CustomerAccount: "acme",
	})
	if refusal == nil || refusal.Kind != oauth.LinkSpent {
		t.Errorf("%v", refusal)
	}
}
