package portal_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
)

// unseen are names that look like that of a local user, or of nobody.
var unseen = map[string]string{
	"a space of no width": "demo\u200b", "a joiner": "de\u200dmo", "a soft hyphen": "de\u00admo", "a mark of order": "\ufeffdemo",
	"the other direction": "\u202eomed", "an isolate": "\u2066demo\u2069", "a grapheme joiner": "demo\u034f", "a filler": "demo\u3164",
	"a variation": "demo\ufe0f", "a tag": "demo\U000e0041", "nothing else": "\u200b", "a blank of Braille": "demo\u2800",
	"a wide space": "demo\u3000", "a space that does not break": "\u00a0demo", "another's": "cy\u200brus",
}

func TestANameOfAnotherMethodWithWhatCannotBeSeenIsNotShown(t *testing.T) {
	for what, name := range unseen {
		f := newAtProvider(t, func(*provider.Options) {})
		b := remotetest.NewBackend(t)
		f.use(f.hosted.Methods[0], f.acme, b.Method("accounts", time.Minute))
		for _, email := range []string{"", "eve@example.com", "demo@example.com", "ev\u200be@example.com"} {
			b.Says(http.StatusOK, `{"user":{"subject":"`+name+`","name":"`+name+`","email":"`+email+`","email_verified":true}}`)
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
				if u.Name != want || !username.Visible(u.Email) {
					t.Errorf("%s, with %q: at %s %+v", what, email, where, u)
				}
			}
		}
	}
}

// They stand between the names of a person.
func TestSpacesOfANameAreShownAsPlainOnes(t *testing.T) {
	f := newAtProvider(t)
	for name, shown := range map[string]string{"山田\u3000太郎": "山田 太郎", "Zoë\u00a0M.\u202fK.": "Zoë M. K.", " ann b ": "ann b"} {
		b := f.signsIn(map[string]any{"sub": name, "preferred_username": name})
		if got := f.who(b.session()); got != shown {
			t.Errorf("%q is shown as %q", name, got)
		}
	}
}

// A format character may belong to a name, where the script needs it.
func TestANameIsFoundAsItIsWrittenFirst(t *testing.T) {
	f := newFixture(t)
	const name = "نامه\u200cای"
	f.become(local.Account{Name: name, Hash: f.work.Hash(t, 10, "one")}, local.Account{Name: strings.ReplaceAll(name, "\u200c", ""), Hash: f.work.Hash(t, 10, "other")})
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
			if text, ok := v.(string); ok && !username.Visible(text) {
				t.Errorf("%s is %q", key, text)
			}
		}
	}
}
