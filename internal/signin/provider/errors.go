package provider

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/signin"
)

// exchangeError returns the error of a code exchange. The library's own text contains
// the whole answer, which may have tokens in it.
func exchangeError(err error) error {
	answered := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &answered) {
		if unreachable := (*url.Error)(nil); errors.As(err, &unreachable) {
			return &signin.DownError{RetryAfter: time.Second, Cause: bounded("redeeming a code", err)}
		}
		return fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("redeeming a code", err))
	}
	status, code := answered.Response.StatusCode, answered.ErrorCode
	switch {
	case status >= 500, status == http.StatusTooManyRequests:
		return &signin.DownError{RetryAfter: 5 * time.Second, Cause: fmt.Errorf("redeeming a code: status %d", status)}
	case code == "invalid_grant":
		return fmt.Errorf("%w: it does not redeem the code", signin.ErrAnswer)
	}
	return signin.Refused(code)
}
