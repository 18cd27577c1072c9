package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/signin"
)

// ShortestRecheck is the shortest time between two questions about a session.
const ShortestRecheck = time.Minute

// Renewal implements [signin.Renewer].
func (p *Method) Renewal() (at string, every time.Duration) {
	return p.o.Issuer + "\x00" + p.o.ClientID, p.o.Recheck
}

// Renew implements [signin.Renewer]. It uses only that there is an answer: the data
// of the user stay those of the sign-in.
func (p *Method) Renew(ctx context.Context, token string) (string, error) {
	f, err := p.discovery(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: %w", signin.ErrNotAsked, err)
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.Client), finishPatience)
	defer cancel()
	next, err := p.config(f, signin.ProviderRequest{}).TokenSource(ctx, &oauth2.Token{RefreshToken: token}).Token()
	if err != nil {
		return "", renewError(err)
	}
	return cmp.Or(next.RefreshToken, token), nil
}

// renewError returns the error of a refresh token request. Only the error
// invalid_grant means that the token is not valid any more.
func renewError(err error) error {
	answered := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &answered) {
		if dialing := (*net.OpError)(nil); errors.As(err, &dialing) && dialing.Op == "dial" {
			return &signin.DownError{Cause: fmt.Errorf("%w: %w", signin.ErrNotAsked, bounded("renewing", err))}
		}
		if unreachable := (*url.Error)(nil); errors.As(err, &unreachable) {
			return &signin.DownError{Cause: bounded("renewing", err)}
		}
		return fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("renewing", err))
	}
	status, code := answered.Response.StatusCode, answered.ErrorCode
	switch {
	case status >= 500, status == http.StatusTooManyRequests:
		return &signin.DownError{Cause: fmt.Errorf("renewing: status %d", status)}
	case code == "invalid_grant":
		return signin.ErrRevoked
	}
	return signin.Refused(code)
}
