package loginapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/oauth"
)

const unproven = "Client authentication failed."

// guess presents a secret of a client from an address.
func (w *world) guess(from, client, secret string) answer {
	w.T.Helper()
	w.api.From = func(*http.Request) oauth.Origin { return oauth.Origin(from) }
	return w.token(clientGrant("client_id", client, "client_secret", secret))
}

func TestClass18SecretsOfClientsAreNotGuessed(t *testing.T) {
	for _, tt := range []struct{ name, from, neighbour, stranger string }{
		{"IPv4", "192.0.2.1", "192.0.2.1", "192.0.2.2"},
		{"IPv6", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			for range 100 { // what is right costs nothing
				if a := w.guess(tt.from, "2", secret); a.Status != http.StatusOK {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
			}
			for i := range 30 {
				wantError(t, w.guess(tt.from, "2", fmt.Sprint(secret, i)), 400, "010-019", unproven)
			}
			for _, presented := range []string{"wrong", ""} {
				a := w.guess(tt.neighbour, "2", presented)
				wantError(t, a, 429, "002-057", "Too many attempts.")
				wantHeaders(t, a, "Retry-After", "30")
			}
			w.api.From = func(*http.Request) oauth.Origin { return oauth.Origin(tt.from) }
			revoked := w.Send(http.MethodPost, "/api/oauth2/token/revoke", url.Values{"token": {"x"}}.Encode(), "Content-Type", form, "Authorization", basic("2", "wrong"))
			wantError(t, revoked, 429, "002-057", "Too many attempts.")
			if a := w.guess(tt.neighbour, "2", secret); a.Status != http.StatusOK {
				t.Errorf("the client is stopped by a neighbour: %d %s", a.Status, a.Body)
			}
			wantError(t, w.guess(tt.neighbour, "2", "wrong"), 429, "002-057", "Too many attempts.")
			if a := w.guess(tt.stranger, "2", secret); a.Status != http.StatusOK {
				t.Errorf("the client at another address: %d %s", a.Status, a.Body)
			}
			if a := w.guess(tt.from, "6", secret); a.Status != http.StatusOK {
				t.Errorf("another client at this address: %d %s", a.Status, a.Body)
			}
			cookie, _ := w.signIn(ada)
			if a := w.token(redemption(w.code(cookie, game()))); a.Status != http.StatusOK {
				t.Errorf("a client without a secret: %d %s", a.Status, a.Body)
			}
			w.Clock.Advance(30 * time.Second)
			wantError(t, w.guess(tt.from, "2", "wrong"), 400, "010-019", unproven)
			wantError(t, w.guess(tt.from, "2", "wrong"), 429, "002-057", "Too many attempts.")
		})
	}
}

func TestARefusedClientIsInTheAuditLogOnceAMinute(t *testing.T) {
	w := newWorld(t)
	for range 500 {
		w.guess("192.0.2.1", "2", "wrong")
		w.guess("192.0.2.2", "99", "wrong")
		w.guess("192.0.2.3", "1", "wrong")
	}
	const public = "This client is public and has no secret; leave client_secret out."
	want := [][4]any{
		{"client refused", "2", "192.0.2.1", unproven},
		{"client refused", nil, "192.0.2.2", unproven},
		{"client refused", "1", "192.0.2.3", public},
		{"client limited", "2", "192.0.2.1", "too many wrong secrets from this address"},
	}
	wantAudit := func() {
		t.Helper()
		lines := w.Audit.TakeAll()
		if len(lines) != len(want) {
			t.Errorf("%d lines, want %d", len(lines), len(want))
		}
		for i := range min(len(lines), len(want)) {
			c := lines[i].ContextMap()
			if got := [4]any{lines[i].Message, c["client"], c["from"], c["why"]}; got != want[i] {
				t.Errorf("line %d: %v, want %v", i, got, want[i])
			}
		}
	}
	wantAudit()
	w.Clock.Advance(time.Minute)
	w.guess("192.0.2.4", "2", "wrong")
	want = [][4]any{{"client refused", "2", "192.0.2.4", unproven + " (30 times since the last line)"}}
	wantAudit()
}
