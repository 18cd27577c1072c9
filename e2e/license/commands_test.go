package license

import (
	"bufio"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

func TestTheCommandPrintsALinkThatWorks(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, responseType := range []string{"code", "token"} {
		a := w.app(t, harness.NewClient(t))
		printed := w.server.SSO("license", "url", "--product", "demo", "--customer-account", "other",
			"--response-type", responseType, "--redirect-uri", a.RedirectURI)
		answer := a.arrived(t, a.browser.SignIn(strings.TrimSuffix(printed, "\n"), harness.Demo))
		w.wantActivated(t, a, a.Activation(answer.Get("code"), answer.Get("id_token")), harness.Demo)
	}
	for _, wrong := range [][]string{
		{"--product", "nothing", "--customer-account", "other"},
		{"--product", "demo", "--customer-account", "nobody"},
		{"--product", "demo", "--customer-account", "other", "--redirect-uri", "https://elsewhere.example"},
	} {
		if out, err := w.server.Command(append([]string{"sso", "license", "url", "--config", w.server.Dir + "/Caddyfile"}, wrong...)...); err == nil {
			t.Errorf("%v printed %s", wrong, out)
		}
	}
}

func TestTheCommandPrintsHeadersThatSignARequest(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, tt := range map[string]struct {
		shared string
		status int
	}{"the shared key": {harness.SharedKey, http.StatusOK}, "another": {harness.SharedKey + "x", http.StatusBadRequest}} {
		out, err := w.server.Command("sso", "license", "sign", "--api-key", harness.APIKey, "--shared-key", tt.shared)
		if err != nil {
			t.Fatal(err)
		}
		headers, err := textproto.NewReader(bufio.NewReader(strings.NewReader(out + "\n"))).ReadMIMEHeader()
		if err != nil {
			t.Fatalf("printed %q: %v", out, err)
		}
		r, err := http.NewRequest(http.MethodGet, w.Portal+"/api/v4/sso_url?product=demo&customer_account_code=other", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header(headers)
		resp, err := harness.NewClient(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status != tt.status {
			t.Errorf("signed with %s: %d %s", name, resp.Status, resp.Body)
		}
	}
	// The published example.
	const date = "Tue, 07 Jun 2011 20:51:35 GMT"
	out, err := w.server.Command("sso", "license", "sign", "--api-key", "k", "--shared-key", "kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja", "--date", date)
	if err != nil || !strings.Contains(out, "Date: "+date+"\n") || !strings.Contains(out, `signature="UDysfR6MndUZReo07Y9r+vErn8vSxrnQ5ulit18iJ/Q="`) {
		t.Errorf("the published example: %v\n%s", err, out)
	}
}
