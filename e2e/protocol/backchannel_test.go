package protocol

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// What a real provider sends ends what began with its session, and no more.
func TestWhoSignsOutAtTheProviderIsSignedOutHere(t *testing.T) {
	r, p := atProvider(t, true)
	p.Settings = map[string]any{"features": map[string]any{
		"devInteractions": map[string]any{"enabled": false}, "backchannelLogout": map[string]any{"enabled": true},
	}}
	p.Client = map[string]any{
		"backchannel_logout_uri": r.Portal + "/sso/backchannel_logout/acme", "backchannel_logout_session_required": true,
	}
	p.Start()
	phone, desk := harness.NewClient(t), harness.NewClient(t)
	for _, browser := range []*harness.Client{phone, desk} {
		if page := browser.SignInAt(browser.Open(r.Gate+"/"), "ann"); page.Status != http.StatusOK {
			t.Fatalf("ended at %s with %d", page.URL, page.Status)
		}
	}
	form, err := phone.Open(p.Issuer + "/session/end").Form("xsrf")
	if err != nil {
		t.Fatal(err)
	}
	form.Values.Set("logout", "yes")
	if page, err := phone.Submit(form); err != nil || page.Status != http.StatusOK {
		t.Fatalf("signing out at the provider: %v, %v", page, err)
	}
	page := phone.Open(r.Gate + "/")
	if page.URL.Host != strings.TrimPrefix(p.Issuer, "http://") {
		t.Fatalf("still signed in: %s (%d)", page.URL, page.Status)
	}
	r.wantAtBackend(t, desk, map[string]string{"X-SSO-User": "ann.acme"})
}
