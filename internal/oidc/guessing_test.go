package oidc_test

import (
	"net/http"
	"net/url"
	"testing"
)

func TestClass18SecretsOfClientsAreNotGuessed(t *testing.T) {
	w := newWorld(t)
	own := url.Values{"grant_type": {"client_credentials"}}
	asked := map[string]url.Values{"/oauth2/token": own, "/oauth2/introspect": {"token": {"x"}}}
	for range 15 { // each
		for path, body := range asked {
			wantError(t, w.post(path, body, "Authorization", basic("2", "wrong")), 401, "invalid_client", failed)
		}
	}
	for path, body := range asked {
		a := w.post(path, body, "Authorization", basic("2", "wrong"))
		wantError(t, a, 429, "temporarily_unavailable", "Too many attempts.")
		wantHeaders(t, a, "Retry-After", "30", "WWW-Authenticate", "")
		if a := w.post(path, body, "Authorization", basic("2", secret)); a.Status != http.StatusOK {
			t.Errorf("%s: the right secret: %d %s", path, a.Status, a.Body)
		}
	}
	if a := w.post("/oauth2/introspect", asked["/oauth2/introspect"], "Authorization", basic("5", secret)); a.Status != http.StatusOK {
		t.Errorf("another client at this address: %d %s", a.Status, a.Body)
	}
}
