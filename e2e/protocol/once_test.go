package protocol

import (
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

func TestOneCodeUnder500ParallelRedemptionsIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	for name, vary := range map[string]func(*testing.T) func(*harness.Caddyfile){
		"memory": func(*testing.T) func(*harness.Caddyfile) { return func(*harness.Caddyfile) {} },
		"file": func(t *testing.T) func(*harness.Caddyfile) {
			t.Helper()
			return onFile(filepath.Join(t.TempDir(), "sso.db"))
		},
		"redis": func(t *testing.T) func(*harness.Caddyfile) {
			t.Helper()
			return onRedis(redistest.Start(t).URL())
		},
	} {
		// One store after the other: three times 500 at once would wait for each other.
		t.Run(name, func(t *testing.T) {
			redeemInParallel(t, start(t, vary(t)), 500)
		})
	}
}

func redeemInParallel(t *testing.T, r *rig, n int) {
	t.Helper()
	browser := r.signedIn(t, harness.Demo)
	g := newGame(t, r.Portal, "1", "email")
	code := g.codeOf(t, browser)
	program := harness.NewClient(t)
	answers := make([]*harness.Response, n)
	var wait sync.WaitGroup
	begin := make(chan struct{})
	for i := range answers {
		wait.Go(func() {
			<-begin
			resp, err := program.TryPost(g.Endpoint.TokenURL, g.form(code))
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = resp
		})
	}
	close(begin)
	wait.Wait()
	if t.Failed() {
		return
	}
	won := 0
	for _, resp := range answers {
		switch {
		case resp.Status == http.StatusOK:
			won++
			wantCounts(t, program, r.Portal, resp)
		case resp.Status != http.StatusBadRequest || errorCode(t, resp) != "010-023":
			t.Fatalf("answered %d: %s", resp.Status, resp.Body)
		}
	}
	if won != 1 {
		t.Errorf("the code was redeemed %d times", won)
	}
	redeemed := r.server.Log.Audit("code redeemed")
	// The gate's own code is the other one.
	if len(redeemed) != 2 {
		t.Fatalf("the audit log has %d redemptions: %v", len(redeemed), redeemed)
	}
	grant := redeemed[1]["grant"]
	// Anyone who has the code and not its verifier ends what it gave.
	form := g.form(code)
	form.Set("code_verifier", verifier)
	wantRefused(t, program.Post(g.Endpoint.TokenURL, form))
	for _, what := range []string{"code reused", "grant ended"} {
		entries := r.server.Log.Audit(what)
		if len(entries) != 1 {
			t.Errorf("the audit log has %d times %q", len(entries), what)
		}
		for _, e := range entries {
			if e["grant"] != grant || e["client"] != "1" {
				t.Errorf("%q names grant %v of client %v, redeemed was %v", what, e["grant"], e["client"], grant)
			}
		}
	}
}

// wantCounts asks the portal who has the access token of an answer.
func wantCounts(t *testing.T, c *harness.Client, portal string, answer *harness.Response) {
	t.Helper()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	answer.JSON(t, &token)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, portal+"/api/users/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	if resp, err := c.Do(req); err != nil || resp.Status != http.StatusOK {
		t.Errorf("the token does not count: %+v, %v", resp, err)
	}
}
