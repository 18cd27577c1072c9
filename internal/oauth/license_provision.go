package oauth

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// A Provisioner notifies a vendor's backend of a user's first sign-in for a product,
// so that it can create the license user. It may be called more than once for the
// same user, if two tabs are first at the same moment.
type Provisioner interface {
	Provision(ctx context.Context, first FirstSignIn) error
}

// A FirstSignIn is the first sign-in of a user for a product.
type FirstSignIn struct {
	Product string
	Account string
	User    session.User
	At      time.Time
}

// provisionedFor is how long a first sign-in is remembered. After that the backend is
// notified again.
const provisionedFor = 366 * 24 * time.Hour

// provision notifies the product's backend of a new user.
func (s *Server) provision(ctx context.Context, r *LicenseRequest, in SignedIn, from Origin) *Error {
	if r.Product.Provision == nil {
		return nil
	}
	key := "provisioned:" + r.Product.Code + ":" + r.Account.Code + ":" + url.QueryEscape(in.User.Subject)
	_, known, err := s.Store.Get(ctx, key)
	if err != nil {
		return Unavailable(fmt.Errorf("looking up a first sign-in: %w", err))
	}
	if known {
		return nil
	}
	now := s.Now()
	if err := r.Product.Provision.Provision(ctx, FirstSignIn{Product: r.Product.Code, Account: r.Account.Code, User: in.User, At: now}); err != nil {
		s.Audit.Record(Event{What: ProvisioningFailed, User: in.User, Client: r.Product.Client, Session: in.Session, From: from, Why: "product " + r.Product.Code})
		return &Error{Kind: Unprovisioned, Description: "The license could not be prepared.", RetryAfter: 5 * time.Second, Cause: err}
	}
	s.Audit.Record(Event{What: Provisioned, User: in.User, Client: r.Product.Client, Session: in.Session, From: from, Why: "product " + r.Product.Code})
	if err := s.Store.Put(ctx, key, []byte{1}, provisionedFor); err != nil {
		return Unavailable(fmt.Errorf("remembering a first sign-in: %w", err))
	}
	return nil
}
