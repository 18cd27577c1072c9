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
	"go.uber.org/zap"
	"golang.org/x/oauth2"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// ShortestRecheck is the shortest time between two questions about a session.
const ShortestRecheck = time.Minute

// Renewal implements [signin.Renewer].
func (p *Method) Renewal() (at string, every time.Duration) {
	return p.o.Issuer + "\x00" + p.o.ClientID, p.o.Recheck
}

// Renew implements [signin.Renewer].
func (p *Method) Renew(ctx context.Context, token string) (string, error) {
	next, _, err := p.renew(ctx, token, nil)
	return next, err
}

// RenewUser implements [signin.UserRenewer].
func (p *Method) RenewUser(ctx context.Context, token string, u session.User) (string, session.User, error) {
	return p.renew(ctx, token, &u)
}

// renew exchanges a refresh token for the next one, and reads the user again, if there
// is one.
func (p *Method) renew(ctx context.Context, token string, u *session.User) (next string, now session.User, err error) {
	f, err := p.discovery(ctx)
	if err != nil {
		return "", now, fmt.Errorf("%w: %w", signin.ErrNotAsked, err)
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.Client), finishPatience)
	defer cancel()
	answer, err := p.config(f, signin.ProviderRequest{}).TokenSource(ctx, &oauth2.Token{RefreshToken: token}).Token()
	if err != nil {
		return "", now, renewError(err)
	}
	if u != nil {
		now = p.readAgain(ctx, f, answer, *u)
	}
	return cmp.Or(answer.RefreshToken, token), now, nil
}

// readAgain returns a user with what the provider says now. If it cannot be read, the user
// stays as before: that is not the user's fault.
func (p *Method) readAgain(ctx context.Context, f *metadata, answer *oauth2.Token, before session.User) session.User {
	if p.o.Claims.Groups == "" && len(p.keptNames()) == 0 {
		return before
	}
	said, err := p.renewedClaims(ctx, f, answer, before.ProviderID)
	if err == nil {
		var now session.User
		if now, err = p.userFrom(ctx, f, said, before.ProviderID, answer, false); err == nil {
			before.Claims = now.Claims
			if before.Linked == "" { // else they are those of the local user
				before.Groups, before.Email = now.Groups, now.Email
			}
			return before
		}
	}
	if n := p.lines.Due("reading again", err, p.o.Now()); n > 0 {
		p.o.Log.Warn("what a provider says of a user could not be read again; the session keeps what it said before",
			zap.String("signin", p.o.ID), zap.String("subject", before.Subject), zap.Error(err), zap.Int("times", n))
	}
	return before
}

// renewedClaims returns the claims of the ID token in an answer, if it has one (OpenID
// Connect Core section 12.2).
func (p *Method) renewedClaims(ctx context.Context, f *metadata, answer *oauth2.Token, sub string) (said map[string]any, err error) {
	raw, _ := answer.Extra("id_token").(string)
	if raw == "" {
		return nil, nil
	}
	now := p.o.Now()
	id, err := oidc.NewVerifier(p.o.Issuer, f.keys, &oidc.Config{
		ClientID: p.o.ClientID, SupportedSigningAlgs: f.algorithms,
		Now: func() time.Time { return now.Add(-ClockSkew) },
	}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("verifying the ID token", err))
	}
	if id.Subject != sub {
		return nil, fmt.Errorf("%w: the ID token is another user's", signin.ErrAnswer)
	}
	if err := id.Claims(&said); err != nil {
		return nil, fmt.Errorf("%w: %w", signin.ErrAnswer, bounded("reading the ID token", err))
	}
	return said, nil
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
