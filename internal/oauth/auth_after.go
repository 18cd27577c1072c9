package oauth

import (
	"errors"
	"strconv"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// AuthAfterParam is a parameter of our own, of requests and of sign-in pages: the time
// since when the user must have been authenticated, in milliseconds since 1970.
const AuthAfterParam = "auth_after"

// FormatAuthAfter returns a time as the value of [AuthAfterParam], and 1970 for an
// earlier one.
func FormatAuthAfter(t time.Time) string { return strconv.FormatInt(max(t.UnixMilli(), 0), 10) }

// ParseAuthAfter reads the value of [AuthAfterParam]. An empty one is the zero time.
func ParseAuthAfter(value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseUint(value, 10, 53)
	if err != nil {
		return time.Time{}, errors.New("should be a time, in milliseconds since 1970")
	}
	return time.UnixMilli(int64(ms)), nil //nolint:gosec // of 53 bits
}

// AuthenticatedSince reports whether the user of a session was authenticated at a time or
// later. Another node may have stored the time of the session, by its own clock.
func AuthenticatedSince(s *session.Session, after time.Time) bool {
	return !s.AuthTime().Before(after.Add(-ClockLeeway))
}
