package provider

import (
	"context"

	"github.com/caddy-sso/caddy-sso/session"
)

// What tests of this package look at, too.
const (
	DiscoveryLifetime = discoveryLifetime
	MaxCode           = maxCode
	MaxFinishing      = maxFinishing
	MaxProviderAnswer = maxProviderAnswer
)

// UserOf makes a user of claims.
func (p *Method) UserOf(sub string, claims map[string]any) session.User {
	return p.userOf(sub, claims)
}

// Algorithms are those that an ID token of the provider may be signed with.
func (p *Method) Algorithms(ctx context.Context) ([]string, error) {
	f, err := p.discovery(ctx)
	if err != nil {
		return nil, err
	}
	return f.algorithms, nil
}

// Finishing are the places of sign-ins that wait for the provider.
func (p *Method) Finishing() chan struct{} { return p.finishing }

// Options are those that it was made with, and the defaults.
func (p *Method) Options() Options { return p.o }
