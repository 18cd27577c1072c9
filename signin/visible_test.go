package signin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// unseen are names that look like that of a local user, or of nobody.
var unseen = map[string]string{
	"a space of no width": "demo\u200b", "a joiner": "de\u200dmo", "a soft hyphen": "de\u00admo", "a mark of order": "\ufeffdemo",
	"the other direction": "\u202eomed", "an isolate": "\u2066demo\u2069", "a grapheme joiner": "demo\u034f", "a filler": "demo\u3164",
	"a variation": "demo\ufe0f", "a tag": "demo\U000e0041", "nothing else": "\u200b", "another's": "cy\u200brus",
}

func TestANameOfAnotherWayWithWhatCannotBeSeenIsNotShown(t *testing.T) {
	for what, name := range unseen {
		f := newAtProvider(t, func(*ProviderOptions) {})
		b := newOwnBackend(t)
		f.use(f.hosted.Ways[0], f.acme, b.way("accounts", time.Minute))
		for _, email := range []string{"", "eve@example.com", "demo@example.com", "ev\u200be@example.com"} {
			b.says(http.StatusOK, `{"user":{"subject":"`+name+`","name":"`+name+`","email":"`+email+`","email_verified":true}}`)
			v := f.visitor()
			v.try("eve", "x")
			for where, u := range map[string]session.User{
				"a provider": f.signedIn(f.signsIn(map[string]any{"sub": name, "preferred_username": name, "email": email, "email_verified": true})),
				"a backend":  f.signedIn(v),
			} {
				want := u.Subject
				if email == "eve@example.com" {
					want = email
				}
				if u.Name != want || !visible(u.Email) {
					t.Errorf("%s, with %q: at %s %+v", what, email, where, u)
				}
			}
		}
	}
}

// A format character may belong to a name, where the script needs it.
func TestANameIsFoundAsItIsWrittenFirst(t *testing.T) {
	f := newFixture(t)
	const name = "نامه\u200cای"
	f.become(Account{Name: name, Hash: f.work.hash(t, 10, "one")}, Account{Name: strings.ReplaceAll(name, "\u200c", ""), Hash: f.work.hash(t, 10, "other")})
	v := f.visitor()
	want(t, v.try(name, "one"), http.StatusOK)
	if got := f.who(v.session()); got != name {
		t.Errorf("it is %q", got)
	}
	want(t, f.visitor().try(strings.ReplaceAll(name, "\u200c", ""), "other"), http.StatusOK)
}

func TestTheAuditLogHasNothingThatCannotBeSeen(t *testing.T) {
	f := newFixture(t)
	core, log := observer.New(zapcore.InfoLevel)
	f.hosted.Server.Audit = oauth.NewAudit(zap.New(core))
	for _, name := range unseen {
		f.visitor().try(name, "guess")
	}
	entries := log.All()
	if len(entries) != len(unseen) {
		t.Fatalf("%d lines", len(entries))
	}
	for _, e := range entries {
		for key, v := range e.ContextMap() {
			if text, ok := v.(string); ok && !visible(text) {
				t.Errorf("%s is %q", key, text)
			}
		}
	}
}
