package page_test

import (
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

func TestAnApplicationIsLedToByARefreshAndByALinkWithoutAScript(t *testing.T) {
	for _, address := range []string{
		"acme-app:/callback?code=abc&state=x%20y",
		"acme-app:/callback?code=abc&state=%22%3E%3Cscript%3E&iss=https%3A%2F%2Flogin.example",
		"acme-app:/callback#access_token=a.b-c_d&id_token=e.f.g&expires_in=3600",
		"acme-app:/its;url=https:evil.example",
	} {
		w, doc := render(t, &page.Application{App: "Acme <&> Studio", URL: address, Outcome: page.OutcomeSignedIn})
		if _, to := refreshed(refreshOf(t, doc)); to != address {
			t.Errorf("leads to %q, want %q", to, address)
		}
		links := elements(doc, "a")
		if len(links) != 1 || attr(links[0], "href") != address || !strings.Contains(text(links[0]), "Return to Acme <&> Studio") {
			t.Errorf("the link of %q is wrong", address)
		}
		if len(elements(doc, "script")) > 0 {
			t.Error("there is a script")
		}
		if got := w.Header().Get("Referrer-Policy") + ", " + w.Header().Get("Cache-Control"); got != "no-referrer, no-store" {
			t.Errorf("headers: %s", got)
		}
	}
}
