package signin

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestADateOrADateWithATimeSaysWhenAnAccountWasMade(t *testing.T) {
	for text, want := range map[string]int64{
		"":                          0,
		"2019-04-27":                time.Date(2019, 4, 27, 0, 0, 0, 0, time.UTC).Unix(),
		"2019-04-27T12:41:02Z":      time.Date(2019, 4, 27, 12, 41, 2, 0, time.UTC).Unix(),
		"2019-04-27T12:41:02.5Z":    time.Date(2019, 4, 27, 12, 41, 2, 0, time.UTC).Unix(),
		"2019-04-27T12:41:02+02:00": time.Date(2019, 4, 27, 10, 41, 2, 0, time.UTC).Unix(),
	} {
		if got, err := ParseRegistered(text); err != nil || got != want {
			t.Errorf("%q is %d, want %d: %v", text, got, want, err)
		}
	}
	for _, text := range []string{"27.4.2019", "2019-4-27", "2019-02-30", "1556368862", "1969-12-31", "9999-12-31T23:59:59-12:00", "2019-04-27 12:41:02", strings.Repeat("9", 1000)} {
		if got, err := ParseRegistered(text); err == nil || got != 0 || !strings.Contains(err.Error(), "such as 2019-04-27") || len(err.Error()) > 400 {
			t.Errorf("%q is %d: %v", text, got, err)
		}
	}
}

func TestAFileOfUsersSaysWhenAccountsWereMade(t *testing.T) {
	u := newUsersFixture(t)
	u.changed(u.line(UserRecord{Name: "ann", Registered: "2019-04-27"}), u.line(UserRecord{Name: "bob"}), u.line(UserRecord{Name: "eve", Registered: "soon"}))
	for name, want := range map[string]int64{"ann": time.Date(2019, 4, 27, 0, 0, 0, 0, time.UTC).Unix(), "bob": 0} {
		got, there := u.way.Find(name)
		if !there || got.Registered != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, there := u.way.Find("eve"); there {
		t.Error("a line that is wrong counts")
	}
	if lines := u.log.TakeAll(); len(lines) != 1 || !strings.Contains(lines[0].ContextMap()["error"].(string), `user "eve": registered "soon"`) {
		t.Errorf("the log has %v", lines)
	}
}

func TestAServerOfOnesOwnSaysWhenAccountsWereMade(t *testing.T) {
	core, log := observer.New(zapcore.WarnLevel)
	own := newOwnBackend(t)
	method := own.way("accounts", time.Minute)
	method.LogTo(zap.New(core))
	at := time.Date(2019, 4, 27, 12, 41, 2, 0, time.UTC).Unix()
	for said, want := range map[string]int64{`"2019-04-27T12:41:02Z"`: at, `null`: 0, `""`: 0, `1556368862`: 0, `"long ago"`: 0, `"for ages"`: 0} {
		own.says(200, `{"user":{"subject":"17","registered":`+said+`}}`)
		u, err := method.Check(t.Context(), Credentials{Name: "zoe", Password: "hunter2"})
		if err != nil || u.Registered != want {
			t.Errorf("%s: %d, want %d, %v", said, u.Registered, want, err)
		}
	}
	if lines := log.All(); len(lines) != 2 { // no text, and no date: of each reason one a minute
		t.Errorf("the log has %v", lines)
	}
}
