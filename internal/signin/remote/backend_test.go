package remote_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/signin"
)

func TestABackendThatIsAwayOrSlowIsDown(t *testing.T) {
	b := remotetest.NewBackend(t)
	let := make(chan struct{})
	b.Answers(func(http.ResponseWriter, *http.Request) { <-let })
	slow := b.Method("accounts", time.Millisecond)
	away := remotetest.NewBackend(t)
	away.Close()
	for name, method := range map[string]*remote.Backend{"slow": slow, "away": away.Method("accounts", time.Minute)} {
		down := (*signin.DownError)(nil)
		if _, err := method.Check(t.Context(), signin.Credentials{Name: "zoe", Password: "hunter2"}); !errors.As(err, &down) || errors.Is(err, signin.ErrWrong) ||
			strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "private") {
			t.Errorf("%s: %v", name, err)
		}
	}
	close(let)
}

func TestABackendIsNotAskedWhatNobodyCanHave(t *testing.T) {
	b := remotetest.NewBackend(t)
	method := b.Method("accounts", time.Minute)
	for _, c := range []signin.Credentials{
		{Name: "", Password: "x"},
		{Name: " ", Password: "x"},
		{Name: "a\x00b", Password: "x"},
		{Name: strings.Repeat("x", 257), Password: "x"},
		{Name: "\xff", Password: "x"},
		{Name: "x", Password: ""},
		{Name: "x", Password: "\xff"},
		{Name: "x", Password: strings.Repeat("x", signin.MaxPassword+1)},
	} {
		if _, err := method.Check(t.Context(), c); !errors.Is(err, signin.ErrWrong) {
			t.Errorf("%q: %v", c.Name, err)
		}
	}
	if asked := b.Questions(); len(asked) > 0 {
		t.Errorf("it was asked %q", asked)
	}
	if got := fmt.Sprintf("%v %+v %#v", signin.Credentials{Password: "hunter2"}, signin.Credentials{Password: "hunter2"}, signin.Credentials{Password: "hunter2"}); strings.Contains(got, "hunter2") {
		t.Errorf("credentials print as %s", got)
	}
}

func TestThoseOfAUsersOwnServerAreReadAlike(t *testing.T) {
	core, log := observer.New(zapcore.WarnLevel)
	own := remotetest.NewBackend(t)
	method := own.Method("accounts", time.Minute)
	method.LogTo(zap.New(core))
	for said, want := range map[string][]string{
		`[{"name":"players"}]`: {"players"}, `{"players":true}`: {"players"}, `[17]`: {"17"}, `["players"]`: {"players"}, `[true]`: nil,
	} {
		own.Says(200, `{"user":{"subject":"17","groups":`+said+`}}`)
		u, err := method.Check(t.Context(), signin.Credentials{Name: "zoe", Password: "hunter2"})
		if err != nil || !slices.Equal(u.Groups, want) {
			t.Errorf("%s: groups %q, expected %q, %v", said, u.Groups, want, err)
		}
	}
	if lines := log.All(); len(lines) != 1 || !strings.Contains(lines[0].ContextMap()["error"].(string), "neither a text") {
		t.Errorf("the log has %v", lines)
	}
}

func TestAServerOfOnesOwnSaysWhenAccountsWereMade(t *testing.T) {
	core, log := observer.New(zapcore.WarnLevel)
	own := remotetest.NewBackend(t)
	method := own.Method("accounts", time.Minute)
	method.LogTo(zap.New(core))
	at := time.Date(2019, 4, 27, 12, 41, 2, 0, time.UTC).Unix()
	for said, want := range map[string]int64{`"2019-04-27T12:41:02Z"`: at, `null`: 0, `""`: 0, `1556368862`: 0, `"long ago"`: 0, `"for ages"`: 0} {
		own.Says(200, `{"user":{"subject":"17","registered":`+said+`}}`)
		u, err := method.Check(t.Context(), signin.Credentials{Name: "zoe", Password: "hunter2"})
		if err != nil || u.Registered != want {
			t.Errorf("%s: %d, want %d, %v", said, u.Registered, want, err)
		}
	}
	if lines := log.All(); len(lines) != 2 { // no text, and no date: of each reason one a minute
		t.Errorf("the log has %v", lines)
	}
}
