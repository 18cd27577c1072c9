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

// refusal is what an error that the provider sent the browser back with means.
func refusal(code string) error {
	switch code {
	case "access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required":
		return ErrCancelled
	case "temporarily_unavailable", "server_error":
		return &DownError{RetryAfter: 5 * time.Second, Cause: errors.New("it answered " + code)}
	}
	return &RefusedError{Code: errorCode(code), ByBrowser: true}
}

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
	status, code := answered.Response.StatusCode, errorCode(answered.ErrorCode)
	switch {
	case status >= 500, status == http.StatusTooManyRequests:
		return &DownError{RetryAfter: 5 * time.Second, Cause: fmt.Errorf("redeeming a code: status %d", status)}
	case code == "invalid_grant":
		return fmt.Errorf("%w: it does not redeem the code", ErrAnswer)
	}
	return &RefusedError{Code: code}
}
