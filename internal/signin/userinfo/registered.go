package userinfo

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// ParseRegistered parses the creation time of an account, a date or a date with a
// time and an offset (RFC 3339), to Unix seconds. "" is 0: unknown.
func ParseRegistered(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	// Before 1970 there were no accounts, and RFC 3339 ends with the year 9999.
	if err != nil || at.Unix() <= 0 || at.Year() > 9998 {
		return 0, fmt.Errorf("registered %q is no date since 1970 such as 2019-04-27, nor one with a time such as 2019-04-27T12:41:02Z", Excerpt(text))
	}
	return at.Unix(), nil
}

// Registered reads the creation time of an account from the operator's own server. A
// value that cannot be read is omitted, and logged once a minute.
func (g *Groups) Registered(said any, subject string) int64 {
	text, isText := said.(string)
	seconds, err := ParseRegistered(text)
	if said != nil && !isText {
		err = errors.New("registered is no text; expected a date such as 2019-04-27T12:41:02Z")
	}
	if err == nil || g == nil || g.Log == nil {
		return seconds
	}
	if n := g.lines.Due("registered", err, g.Now()); n > 0 {
		g.Log.Warn("when the account of a user was made cannot be read", zap.String("signin", g.Method),
			zap.String("subject", subject), zap.Error(err), zap.Int("times", n))
	}
	return 0
}
