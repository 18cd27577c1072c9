package oidc_test

import (
	"context"
	"errors"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// unready is a vendor's backend that is down.
type unready struct{}

func (unready) Provision(context.Context, oauth.FirstSignIn) error { return errors.New("down") }
