package portal_test

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

func TestTheAuditLogNamesTheClientThatASignInIsFor(t *testing.T) {
	for name, test := range map[string]struct {
		page   string
		client any
	}{
		"an application": {portal.RedirectToSignIn("", authorization), "1"},
		"the portal":     {portal.SignInPath, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			core, log := observer.New(zapcore.InfoLevel)
			f.hosted.Server.Audit = oauth.NewAudit(zap.New(core))
			f.hosted.Limits.PerAccount = 1
			for _, attempt := range []struct {
				name, password string
				what           oauth.EventType
			}{
				{"demo", "wrong", oauth.SignInFailed},
				{"demo", "demo password", oauth.SignInLimited},
				{"Ann", "ann password", oauth.SignedInEvent},
			} {
				b := f.visitor()
				b.submit(b.form(b.open(test.page)), attempt.name, attempt.password)
				events := log.FilterMessage(string(attempt.what)).All()
				if len(events) != 1 {
					t.Fatalf("%q is there %d times", attempt.what, len(events))
				}
				if got := events[0].ContextMap()["client"]; got != test.client {
					t.Errorf("%q is for the client %v", attempt.what, got)
				}
			}
		})
	}
}
