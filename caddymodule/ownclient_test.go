package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// RFC 6749 section 3.1.2.2: what gets no codes has nowhere that they could go.
func TestAClientWithASecretThatGetsNoCodesNeedsNoRedirectURI(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{gate: "allow_client 2", global: "client 2 {\nsecret s3cr3ts3cr3ts3cr3t\naudience 1\n}"})
	v := w.visitor()
	if got := w.call(v.ownToken()); got.StatusCode != http.StatusOK {
		t.Errorf("its own token at a gate: %s: %s", got.Status, got.body)
	}
	for path, want := range map[string]string{
		"/api/oauth2/auth?response_type=code&client_id=2&scope=&state=12345678&audience=1&redirect_uri=http://" + w.site + "/oauth2/callback": "redirect_uri is not registered",
		"/api/oauth2/auth?response_type=code&client_id=2&scope=&state=12345678&audience=1":                                                    "redirect_uri is missing",
		"/api/oauth2/sso?response_type=code&client_id=2&state=12345678":                                                                       "redirect_uri is missing",
		"/oauth2/authorize?response_type=code&client_id=2&redirect_uri=http://" + w.site + "/oauth2/callback":                                 "redirect_uri is not registered",
	} {
		if got := v.get("http://" + w.portal + path); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, want) {
			t.Errorf("%s: %s: %s", path, got.Status, got.body)
		}
	}
}
