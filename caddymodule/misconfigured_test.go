package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAProviderOfAnotherIssuerIsAMisconfiguredProject(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"issuer":"https://another.example"}`)
	}))
	defer provider.Close()
	w := newWorld(t)
	w.mustLoad(setup{global: "signin oidc acme {\nissuer " + provider.URL + "\nclient_id a\nclient_secret b\n}\n" +
		"client 7 {\npublic\nallow_no_pkce\nredirect_uri https://game.example/cb\n}"})
	got := w.visitor().getOnce("http://" + w.portal + "/api/oauth2/social/acme/login_redirect?response_type=code&client_id=7&state=12345678")
	const want = `{"error":{"code":"003-022","description":"Project misconfigured: the provider is another than its settings say.","details":{}}}` + "\n"
	if got.StatusCode != http.StatusUnprocessableEntity || got.body != want {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}
