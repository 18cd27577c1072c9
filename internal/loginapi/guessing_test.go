package loginapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const unproven = "Client authentication failed."

// guess presents a secret of a client from an address.
func (w *world) guess(from, client, secret string) answer {
	w.T.Helper()
	w.api.From = func(*http.Request) oauth.Origin { return oauth.Origin(from) }
	return w.token(clientGrant("client_id", client, "client_secret", secret))
}

func TestClass18SecretsOfClientsAreNotGuessed(t *testing.T) {
	for _, tt := range []struct{ name, from, neighbour, unrelated string }{
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
			if a := w.guess(tt.unrelated, "2", secret); a.Status != http.StatusOK {
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

func TestARefusedClientIsInTheAuditLogFewTimesAMinute(t *testing.T) {
	w := newWorld(t)
	for range 500 {
		w.guess("192.0.2.1", "2", "wrong")
		w.guess("192.0.2.2", "99", "wrong")
		w.guess("192.0.2.3", "1", "wrong")
	}
	const public = "This client is public and has no secret; leave client_secret out."
	w.Server.Audit.Flush()
	type line struct{ what, client, from, why, leftOut any }
	got := map[line]int{}
	for _, l := range w.Audit.TakeAll() {
		c := l.ContextMap()
		got[line{l.Message, c["client"], c["from"], c["why"], c["left_out"]}]++
	}
	const limited = "too many wrong secrets from this address"
	want := map[line]int{
		{"client refused", "2", "192.0.2.1", unproven, nil}: 10,
		{"client refused", nil, "192.0.2.2", unproven, nil}: 10,
		{"client refused", "1", "192.0.2.3", public, nil}:   10,
		{"client limited", "2", "192.0.2.1", limited, nil}:  10,

		{"client refused", "2", nil, unproven, int64(20)}:  1,
		{"client refused", nil, nil, unproven, int64(490)}: 1,
		{"client refused", "1", nil, public, int64(490)}:   1,
		{"client limited", "2", nil, limited, int64(460)}:  1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("the audit log has\n%v\nwant\n%v", got, want)
	}
}
