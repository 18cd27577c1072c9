package oidc_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestDiscoveryListsOnlyWhatWorks(t *testing.T) {
	w := newWorld(t)
	a := w.Get("/.well-known/openid-configuration", "")
	wantHeaders(t, a, "Content-Type", "application/json", "Cache-Control", "public, max-age=300", "Access-Control-Allow-Origin", "*")
	if same := w.Get("/.well-known/oauth-authorization-server", ""); same.Body != a.Body {
		t.Error("RFC 8414 has another document")
	}
	document := decode[map[string]any](t, a)
	if document["issuer"] != w.URL {
		t.Errorf("issuer %v", document["issuer"])
	}
	for name, value := range document {
		address, isAddress := value.(string)
		if !isAddress || name == "issuer" {
			continue
		}
		path, below := strings.CutPrefix(address, w.URL)
		if !below || w.Send(http.MethodPost, path, "").Status == http.StatusNotFound {
			t.Errorf("%s: nothing answers %s", name, address)
		}
	}
	for name, want := range map[string][]any{
		"response_types_supported":                      {"code", "id_token token"},
		"response_modes_supported":                      {"query", "form_post", "fragment"},
		"grant_types_supported":                         {"authorization_code", "refresh_token", "client_credentials", "implicit"},
		"scopes_supported":                              {"openid", "profile", "email", "groups", "offline_access"},
		"code_challenge_methods_supported":              {"S256"},
		"id_token_signing_alg_values_supported":         {"ES256", "EdDSA", "RS256"},
		"token_endpoint_auth_methods_supported":         {"client_secret_basic", "client_secret_post", "none"},
		"introspection_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post"},
		"revocation_endpoint_auth_methods_supported":    {"client_secret_basic", "client_secret_post", "none"},
		"subject_types_supported":                       {"public"},
		"prompt_values_supported":                       {"none", "login", "consent", "select_account"},
	} {
		if !equal(document[name], want) {
			t.Errorf("%s: %v, want %v", name, document[name], want)
		}
	}
	for name, want := range map[string]bool{
		"authorization_response_iss_parameter_supported": true, "request_parameter_supported": false,
		"request_uri_parameter_supported": false, "claims_parameter_supported": false,
	} {
		if got, there := document[name].(bool); !there || got != want {
			t.Errorf("%s: %v", name, document[name])
		}
	}
	w.Server.Licenses = nil
	document = decode[map[string]any](t, w.Get("/.well-known/openid-configuration", ""))
	if !equal(document["response_types_supported"], []any{"code"}) || slices.Contains(document["grant_types_supported"].([]any), any("implicit")) {
		t.Errorf("without licensed software: %v", document)
	}
}

func TestTheKeySetHasAllPublicKeysAndNoPrivateOne(t *testing.T) {
	w := newWorld(t)
	a := w.Get("/oauth2/jwks", "")
	wantHeaders(t, a, "Content-Type", "application/jwk-set+json", "Cache-Control", "public, max-age=300", "Access-Control-Allow-Origin", "*")
	set := decode[jose.JSONWebKeySet](t, a)
	found := map[string]bool{}
	for _, k := range set.Keys {
		found[k.Algorithm] = true
		if !k.IsPublic() || !k.Valid() || k.Use != "sig" || k.KeyID == "" {
			t.Errorf("key %s: public %v, valid %v, use %q", k.KeyID, k.IsPublic(), k.Valid(), k.Use)
		}
	}
	if len(found) != 3 {
		t.Errorf("keys for %v", found)
	}
	for _, k := range decode[struct{ Keys []map[string]any }](t, a).Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if k[private] != nil {
				t.Errorf("key %v has %q", k["kid"], private)
			}
		}
	}
	cookie, _ := w.signIn(ada)
	got := w.tokens(redemption(w.code(cookie, app())))
	jws, err := jose.ParseSignedCompact(got.ID, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if key := set.Key(jws.Signatures[0].Header.KeyID); len(key) != 1 {
		t.Errorf("%d keys with the ID of the token", len(key))
	} else if _, err := jws.Verify(key[0]); err != nil {
		t.Error(err)
	}
}

func TestWhatIsPublicTakesGetAndHeadAlone(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/oauth2/jwks"} {
		if a := w.Send(http.MethodHead, path, ""); a.Status != http.StatusOK || a.Body != "" {
			t.Errorf("HEAD %s: %d", path, a.Status)
		}
		a := w.Send(http.MethodPost, path, "")
		if a.Status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, a.Status)
		}
		wantHeaders(t, a, "Allow", "GET, HEAD")
		a = w.Send(http.MethodOptions, path, "", "Origin", "https://any.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-library")
		if a.Status != http.StatusNoContent {
			t.Errorf("the preflight of %s: %d", path, a.Status)
		}
		wantHeaders(t, a, "Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "GET, HEAD",
			"Access-Control-Allow-Headers", "*", "Access-Control-Allow-Credentials", "")
	}
	for _, path := range []string{"/oauth2/", "/oauth2", "/oauth2/authorize/", "/oauth2/sign_in", "/.well-known/", "//oauth2/token", "/oauth2/TOKEN"} {
		if w.api.Endpoint(path) != nil {
			t.Errorf("%s is answered", path)
		}
	}
}
