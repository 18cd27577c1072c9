package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// clock stands still until told otherwise.
type clock struct{ passed atomic.Int64 }

func (c *clock) Now() time.Time           { return start.Add(time.Duration(c.passed.Load())) }
func (c *clock) Advance(by time.Duration) { c.passed.Add(int64(by)) }

// store is one that can be down.
type store struct {
	storage.Store
	down atomic.Bool
}

func (s *store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if s.down.Load() {
		return nil, false, fmt.Errorf("dialing: %w", storage.ErrUnavailable)
	}
	return s.Store.Get(ctx, key)
}

// people are the users of now: all that sign in, but for those who are gone.
type people struct{ gone sync.Map }

func (p *people) Current(u session.User) (session.User, bool) {
	_, gone := p.gone.Load(u.Subject)
	return u, !gone
}

// unready is a vendor's backend that is down.
type unready struct{}

func (unready) Provision(context.Context, oauth.FirstSignIn) error { return errors.New("down") }
