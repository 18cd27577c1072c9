package licenseapi

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
)

const provisionTimeout = 5 * time.Second

// A Provisioner notifies a vendor's backend of first sign-ins over HTTP. It
// implements [oauth.Provisioner].
type Provisioner struct{ backend *signedhttp.Client }

// NewProvisioner returns a Provisioner that posts to a URL. It signs requests with a
// secret of at least 16 characters.
func NewProvisioner(rawURL, secret string, now func() time.Time) (*Provisioner, error) {
	backend, err := signedhttp.NewClient(rawURL, secret, provisionTimeout, now)
	if err != nil {
		return nil, err
	}
	return &Provisioner{backend}, nil
}

// firstSignIn is the body of the notification. Later releases may add members.
type firstSignIn struct {
	Event   string    `json:"event"`
	Product string    `json:"product"`
	Account string    `json:"customer_account"`
	User    firstUser `json:"user"`
	At      time.Time `json:"at"`
}

type firstUser struct {
	Subject string   `json:"subject"`
	Name    string   `json:"name"`
	Email   string   `json:"email,omitempty"`
	Groups  []string `json:"groups,omitempty"`
}

// Provision implements [oauth.Provisioner]. Any 2xx within five seconds is a success.
// It follows no redirect, and ignores the body of the answer.
func (p *Provisioner) Provision(ctx context.Context, first oauth.FirstSignIn) error {
	status, _, err := p.backend.Post(ctx, firstSignIn{
		Event: "first_sign_in", Product: first.Product, Account: first.Account, At: first.At.UTC(),
		User: firstUser{first.User.Subject, first.User.Name, first.User.Email, first.User.Groups},
	})
	if err != nil {
		return fmt.Errorf("telling of a first sign-in: %w", err)
	}
	if status < 200 || status > 299 {
		return fmt.Errorf("telling of a first sign-in: the answer was %d", status)
	}
	return nil
}
