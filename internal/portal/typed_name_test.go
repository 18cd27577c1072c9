package portal_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
)

var eightDigits = regexp.MustCompile(`^[0-9a-f]{8}$`)

// logs has all lines go to one log.
func (f *fixture) logs() *observer.ObservedLogs {
	core, log := observer.New(zapcore.DebugLevel)
	f.hosted.Log = zap.New(core)
	f.hosted.Server.Audit = oauth.NewAudit(zap.New(core))
	return log
}

func TestATypedNameThatNobodyHasIsInNoLog(t *testing.T) {
	const typed = "Correct-Horse-Battery"
	for name, c := range map[string]struct {
		backend int // its status; 0: there is none
		status  int
		body    string
		what    oauth.EventType
	}{
		"where it is wrong":               {0, http.StatusUnauthorized, "", oauth.SignInFailed},
		"where a backend finds it wrong":  {401, http.StatusUnauthorized, remotetest.WrongPassword, oauth.SignInFailed},
		"where the backend is down":       {500, http.StatusServiceUnavailable, "", oauth.SignInFailed},
		"where the backend refuses us":    {401, http.StatusServiceUnavailable, typed, oauth.SignInFailed},
		"beyond the limit":                {0, http.StatusTooManyRequests, "", oauth.SignInLimited},
		"beyond the limit of the address": {0, http.StatusTooManyRequests, "", oauth.SignInLimited},
		"where too many wait":             {0, http.StatusServiceUnavailable, "", oauth.SignInLimited},
	} {
		f := newFixture(t)
		if c.backend != 0 {
			own := remotetest.NewBackend(t)
			own.Says(c.backend, c.body)
			f.use(f.hosted.Methods[0], own.Method("accounts", time.Minute))
		}
		switch name {
		case "beyond the limit":
			f.guess(typed, 5)
		case "beyond the limit of the address":
			f.hosted.Limits.PerAddress = 1
			f.guess("nobody", 1)
		case "where too many wait":
			defer fillLine(t, &f.hosted.Turns().Addresses, string(f.from), limits.TurnsPerAddress())()
		}
		log := f.logs()
		want(t, f.visitor().try(typed, "a guess"), c.status)
		if _, refusal := f.visitor().api(strings.ToUpper(typed)+"\u200b", "a guess"); refusal == nil {
			t.Fatal("a user is signed in")
		}
		users := map[any]bool{}
		for _, line := range log.All() {
			if text := strings.ToLower(fmt.Sprint(line.Message, line.ContextMap())); strings.Contains(text, "horse") || strings.Contains(text, strings.ToLower(username.TypedKey)) {
				t.Errorf("%s: the log has %s", name, text)
			}
			if line.Message == string(c.what) {
				users[line.ContextMap()["user"]] = true
			}
		}
		for user := range users {
			if text, _ := user.(string); len(users) != 1 || !eightDigits.MatchString(text) {
				t.Errorf("%s: the users in the log are %v", name, users)
			}
		}
		if len(users) == 0 {
			t.Errorf("%s: the log has no %s", name, c.what)
		}
	}
}

func TestTheNameOfAnAccountIsLoggedAsItWasTyped(t *testing.T) {
	f, own := newFixture(t), remotetest.NewBackend(t)
	log := f.logs()
	logged := func() any {
		t.Helper()
		lines := log.TakeAll()
		return lines[len(lines)-1].ContextMap()["user"]
	}
	for i := range 6 { // which the last is too many
		f.visitor().try(" DEMO@example.com\u200b", "a guess")
		if got := logged(); got != "DEMO@example.com" {
			t.Errorf("attempt %d: %q", i+1, got)
		}
	}
	f.use(f.hosted.Methods[0], own.Method("accounts", time.Minute))
	own.Says(http.StatusOK, `{"user":{"subject":"17"}}`)
	known := f.visitor()
	want(t, known.try("zoe", "right"), http.StatusOK)
	own.Says(http.StatusUnauthorized, remotetest.WrongPassword)
	known.try("zoe", "a typo")
	if got := logged(); got != "zoe" {
		t.Errorf("a name that was right in this browser: %q", got)
	}
	own.Says(http.StatusUnauthorized, `{"user":{"subject":"17"}}`)
	f.visitor().try("zoe", "a guess")
	if got := logged(); got != "zoe" {
		t.Errorf("a name that the backend says is one: %q", got)
	}
}
