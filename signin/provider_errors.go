package signin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// AuthorizationError returns what the error code of an authorization response means
// (RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6).
func AuthorizationError(code string) error {
	switch code {
	case "access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required":
		return ErrCancelled
	case "temporarily_unavailable", "server_error":
		return &DownError{RetryAfter: 5 * time.Second, Cause: errors.New("it answered " + code)}
	}
	refused := Refused(code)
	refused.ByBrowser = true
	return refused
}

// Refused returns the error for a provider that refuses the application with an error
// code. A code that no registered code can be is not repeated.
func Refused(code string) *RefusedError { return &RefusedError{Code: errorCode(code)} }

// errorCode is an error code as it may be shown and logged: one that nobody
// registers for OAuth is not repeated.
func errorCode(code string) string {
	if code == "" || len(code) > 48 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "an unknown error"
	}
	return code
}

// exchangeError says what became of a code. The library's own text has the
// whole answer in it, which may hold tokens.
func exchangeError(err error) error {
	answered := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &answered) {
		if unreachable := (*url.Error)(nil); errors.As(err, &unreachable) {
			return &DownError{RetryAfter: time.Second, Cause: bounded("redeeming a code", err)}
		}
		return fmt.Errorf("%w: %w", ErrAnswer, bounded("redeeming a code", err))
	}
	status, code := answered.Response.StatusCode, answered.ErrorCode
	switch {
	case status >= 500, status == http.StatusTooManyRequests:
		return &DownError{RetryAfter: 5 * time.Second, Cause: fmt.Errorf("redeeming a code: status %d", status)}
	case code == "invalid_grant":
		return fmt.Errorf("%w: it does not redeem the code", ErrAnswer)
	}
	return Refused(code)
}
