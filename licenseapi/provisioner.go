package licenseapi

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-sso/caddy-sso/oauth"
)

const (
	provisionTimeout = 5 * time.Second
	minProvisionKey  = 16
	maxAnswer        = 64 << 10 // of which nothing is used
)

// A Provisioner tells a vendor's backend of first sign-ins over HTTP. It
// implements [oauth.Provisioner].
type Provisioner struct {
	url    string
	secret []byte
	now    func() time.Time
	client *http.Client
}

// NewProvisioner posts to a URL, signed with a secret of at least 16
// characters.
func NewProvisioner(rawURL, secret string, now func() time.Time) (*Provisioner, error) {
	if err := CheckProvisionURL(rawURL); err != nil {
		return nil, err
	}
	if len(secret) < minProvisionKey {
		return nil, errors.New("the secret is shorter than 16 characters; make one with: openssl rand -base64 32")
	}
	return &Provisioner{url: rawURL, secret: []byte(secret), now: now, client: &http.Client{
		Timeout:       provisionTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CheckProvisionURL says what is wrong with the URL of a backend.
func CheckProvisionURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("expected the URL of your backend, such as https://backend.example/license-users")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !oauth.IsLoopbackHost(u.Hostname())) {
		return errors.New("expected https, or http on loopback")
	}
	return nil
}

// Format keeps the secret out of whatever prints it.
func (*Provisioner) Format(s fmt.State, _ rune) {
	io.WriteString(s, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// firstSignIn is what the backend is told. Members may be added.
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

// Provision implements [oauth.Provisioner]: any 2xx within five seconds is
// success. No redirect is followed, and nothing of the answer is used.
func (p *Provisioner) Provision(ctx context.Context, first oauth.FirstSignIn) error {
	body, err := json.Marshal(firstSignIn{
		Event: "first_sign_in", Product: first.Product, Account: first.Account, At: first.At.UTC(),
		User: firstUser{first.User.Subject, first.User.Name, first.User.Email, first.User.Groups},
	})
	if err != nil {
		return fmt.Errorf("encoding a first sign-in: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("telling of a first sign-in: the URL is none")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Sso-Signature", p.signature(body))
	answer, err := p.client.Do(r)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the URL, whose query may be a secret
		}
		return fmt.Errorf("telling of a first sign-in: %w", err)
	}
	defer answer.Body.Close()
	io.CopyN(io.Discard, answer.Body, maxAnswer) //nolint:errcheck // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("telling of a first sign-in: the answer was %d", answer.StatusCode)
	}
	return nil
}

// signature is over time and body, so that the backend can refuse what is old.
func (p *Provisioner) signature(body []byte) string {
	t := strconv.FormatInt(p.now().Unix(), 10)
	mac := hmac.New(sha256.New, p.secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
