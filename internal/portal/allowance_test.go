package portal_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

// Each sign-in leaves a mark that it was finished, so one account may not sign in
// without end; and nothing is stored for one that is refused.
func TestClass35SignInsOfOneUserAreBounded(t *testing.T) {
	const most = 256
	for name, signIn := range map[string]func(f *outsideFixture) (status int, retryAfter, body string){
		"by the form": func(f *outsideFixture) (int, string, string) {
			w := f.visitor().try("demo", "demo password")
			return w.Code, w.Header().Get("Retry-After"), w.Body.String()
		},
		"at a provider": func(f *outsideFixture) (int, string, string) {
			b := f.visitor()
			w := b.back("acme", b.leave(b.open(portal.SignInPath), "acme"), "ann")
			return w.Code, w.Header().Get("Retry-After"), w.Body.String()
		},
		"by an API": func(f *outsideFixture) (int, string, string) {
			_, refusal := f.visitor().api("demo", "demo password")
			if refusal == nil {
				return http.StatusOK, "", ""
			}
			if refusal.Kind != oauth.TooManyAttempts {
				f.t.Error(refusal)
			}
			return http.StatusTooManyRequests, "15", refusal.Description
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newOutsideFixture(t)
			f.hosted.Server.Allowance = attemptlimit.New()
			for i := range most {
				if status, _, body := signIn(f); status != http.StatusOK {
					t.Fatalf("after %d: %d %s", i, status, body)
				}
			}
			before := f.kept()
			for range 3 {
				status, after, body := signIn(f)
				if status != http.StatusTooManyRequests || after != "15" || !strings.Contains(body, "Too many") {
					t.Errorf("%d, Retry-After %q: %s", status, after, body)
				}
			}
			if after := f.kept(); after != before {
				t.Errorf("%d values became %d", before, after)
			}
			f.clock.Advance(15 * time.Second)
			if status, _, body := signIn(f); status != http.StatusOK {
				t.Errorf("after Retry-After: %d %s", status, body)
			}
		})
	}
}

// kept is how many values the store holds.
func (f *fixture) kept() (n int) {
	if err := f.store.Scan(f.t.Context(), "", func(string, []byte) error { n++; return nil }); err != nil {
		f.t.Fatal(err)
	}
	return n
}
