package userinfo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
)

func TestADateOrADateWithATimeSaysWhenAnAccountWasMade(t *testing.T) {
	for text, want := range map[string]int64{
		"":                          0,
		"2019-04-27":                time.Date(2019, 4, 27, 0, 0, 0, 0, time.UTC).Unix(),
		"2019-04-27T12:41:02Z":      time.Date(2019, 4, 27, 12, 41, 2, 0, time.UTC).Unix(),
		"2019-04-27T12:41:02.5Z":    time.Date(2019, 4, 27, 12, 41, 2, 0, time.UTC).Unix(),
		"2019-04-27T12:41:02+02:00": time.Date(2019, 4, 27, 10, 41, 2, 0, time.UTC).Unix(),
	} {
		if got, err := userinfo.ParseRegistered(text); err != nil || got != want {
			t.Errorf("%q is %d, want %d: %v", text, got, want, err)
		}
	}
	for _, text := range []string{"27.4.2019", "2019-4-27", "2019-02-30", "1556368862", "1969-12-31", "9999-12-31T23:59:59-12:00", "2019-04-27 12:41:02", strings.Repeat("9", 1000)} {
		if got, err := userinfo.ParseRegistered(text); err == nil || got != 0 || !strings.Contains(err.Error(), "such as 2019-04-27") || len(err.Error()) > 400 {
			t.Errorf("%q is %d: %v", text, got, err)
		}
	}
}
