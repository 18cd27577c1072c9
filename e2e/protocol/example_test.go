package protocol

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// The example with other ports, so that it can run beside anything.
func example(t *testing.T) (caddyfile, portal, gate string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	caddyfile = string(text)
	for _, port := range []string{"8080", "8081", "9000"} {
		free := fmt.Sprint(harness.Port(t))
		switch port {
		case "8080":
			portal = "http://localhost:" + free
		case "8081":
			gate = "http://localhost:" + free
		}
		caddyfile = regexp.MustCompile(`\b`+port+`\b`).ReplaceAllString(caddyfile, free)
	}
	admin := fmt.Sprintf("{\n\tadmin 127.0.0.1:%d\n", harness.Port(t))
	return regexp.MustCompile(`(?m)^\{\n`).ReplaceAllLiteralString(caddyfile, admin), portal, gate
}

func TestTheExampleSignsItsDemoUserIn(t *testing.T) {
	t.Parallel()
	caddyfile, _, gate := example(t)
	server := harness.Start(t, caddyfile)
	if err := server.Validate(caddyfile); err != nil {
		t.Errorf("caddy validate: %v", err)
	}
	for _, complaint := range server.Log.Containing(`"logger":"sso`) {
		if strings.Contains(complaint, `"level":"warn"`) || strings.Contains(complaint, `"level":"error"`) {
			t.Errorf("the example is complained about: %s", complaint)
		}
	}
	browser := harness.NewClient(t)
	page := browser.SignIn(gate+"/", harness.User{Name: "demo", Password: "demo"})
	if page.Status != http.StatusOK || page.URL.String() != gate+"/" {
		t.Fatalf("ended at %s with %d: %s", page.URL, page.Status, page.Body)
	}
	for _, want := range []string{"demo", "demo@example.com", "players"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("the backend's page does not say %q:\n%s", want, page.Body)
		}
	}
	s := make(secrets)
	s.addURLs(t, page.Seen)
	s.addCookies(t, browser, gate)
	s.wantNone(t, "the example's log", server.Log.Lines())
	again := browser.Open(gate + "/")
	if len(again.Seen) != 1 {
		t.Errorf("the second request went through %v", again.Seen)
	}
}

// A fail_auth_url is told where to resume: a URL that has the state in it.
func TestTheExampleLogsNoStateOfAFailAuthURL(t *testing.T) {
	t.Parallel()
	caddyfile, portal, gate := example(t)
	server := harness.Start(t, caddyfile)
	const state = "a-state-of-the-game"
	page := harness.NewClient(t).Open(portal + "/api/oauth2/auth?" + url.Values{
		"response_type": {"code"}, "client_id": {"1"}, "redirect_uri": {"http://127.0.0.1/callback"},
		"scope": {""}, "audience": {"game"}, "state": {state},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())}, "code_challenge_method": {"S256"},
		"fail_auth_url": {gate + "/signed-out"},
	}.Encode())
	if len(page.Seen) < 2 || !strings.HasPrefix(page.Seen[1], gate+"/signed-out?") || !strings.Contains(page.Seen[1], "resume=") {
		t.Fatalf("went through %v", page.Seen)
	}
	harness.Eventually(t, "the redirect is logged", func() bool { return len(server.Log.Containing(`"uri":"/signed-out?`)) > 0 })
	secrets{state: "state"}.wantNone(t, "the example's log", server.Log.Lines())
}

func TestTheExampleIsFormatted(t *testing.T) {
	t.Parallel()
	server := harness.Start(t, harness.Standard(t, "127.0.0.1:1").String())
	if _, err := server.Command("fmt", "--diff", "Caddyfile.example"); err != nil {
		t.Errorf("caddy fmt Caddyfile.example: %v", err)
	}
}
