package harness_test

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestSignInLeadsThroughTheGateToThePageFirstAskedFor(t *testing.T) {
	backend := harness.NewBackend(t)
	c := harness.Standard(t, backend.Addr)
	s := harness.Start(t, c.String())
	browser := harness.NewClient(t)

	page := browser.SignIn(c.Gate+"/play?level=3", harness.Demo)
	if page.Status != 200 || page.URL.String() != c.Gate+"/play?level=3" {
		t.Fatalf("ended at %s with %d", page.URL, page.Status)
	}
	var got harness.Echo
	browser.Fetch(c.Gate+"/").JSON(t, &got)
	if user := got.Header.Get("X-SSO-User"); user != harness.Demo.Name {
		t.Errorf("the backend saw user %q", user)
	}
	if len(s.Log.Audit("sign-in")) != 1 {
		t.Errorf("the audit log has %v", s.Log.Audit(""))
	}
}
