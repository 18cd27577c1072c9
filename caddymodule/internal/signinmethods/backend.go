package signinmethods

import (
	"cmp"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/wallclock"
	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(Backend))
}

// Backend signs in the users of your own backend: the portal asks it whether a password is
// right.
type Backend struct {
	// The ID, unique among the sign-in methods: letters, digits, `-` and `_`.
	// Sessions remember it, and the users' subjects depend on it. Required.
	ID string `json:"id,omitempty"`

	// Where the backend is asked: https, or http on loopback. Required.
	URL string `json:"url,omitempty"`

	// What requests to it are signed with: at least 16 characters. Placeholders
	// are replaced. Required.
	Secret string `json:"secret,omitempty"`

	// How long an answer may take, at most `10s`. Default: `5s`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What the log calls the backend. Default: the ID.
	Name string `json:"name,omitempty"`

	// `own` takes the subject that the backend answers as the user's subject, unchanged.
	// Only one method can have it, since its operator decides who a user is. Default: a
	// UUID that is derived from that subject and the ID of the method.
	Subject string `json:"subject,omitempty"`

	provisioned
}

// CaddyModule returns the Caddy module information.
func (*Backend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.backend", New: func() caddy.Module { return new(Backend) }}
}

// Provision reads the secret. The first sign-in asks the backend.
func (s *Backend) Provision(ctx caddy.Context) error {
	return s.provision(ctx, "backend "+s.ID, "secret", s.Secret)
}

// Method implements caddymodule.MethodModule.
func (s *Backend) Method() (signin.Method, error) {
	return madeBy("backend "+s.ID, func() (*remote.Backend, error) { return s.backend(s.secret) })
}

const (
	defaultBackendTimeout = caddy.Duration(5 * time.Second)
	maxBackendTimeout     = caddy.Duration(10 * time.Second)
)

func (s *Backend) backend(secret string) (*remote.Backend, error) {
	if err := checkMethodID("backend", s.ID); err != nil {
		return nil, err
	}
	if err := checkSignedServer(s.URL, secret, "backend that checks passwords"); err != nil {
		return nil, err
	}
	timeout, name := cmp.Or(s.Timeout, defaultBackendTimeout), cmp.Or(s.Name, s.ID)
	if timeout < 0 || timeout > maxBackendTimeout {
		return nil, fmt.Errorf("timeout is %s; expected at most 10s", time.Duration(timeout))
	}
	if err := checkButton(name, ""); err != nil {
		return nil, err
	}
	own, err := ownSubjects(s.Subject)
	if err != nil {
		return nil, err
	}
	server, err := signedhttp.NewClient(s.URL, secret, time.Duration(timeout), wallclock.Now)
	if err != nil {
		return nil, err
	}
	method := remote.NewBackend(s.ID, name, server)
	method.LogTo(s.log)
	if own {
		method.UseOwnSubjects()
	}
	return method, nil
}

// UnmarshalCaddyfile sets up the backend from Caddyfile tokens. Syntax:
//
//	signin backend <id> {
//		url     <url>
//		secret  <secret>
//		timeout <duration>
//		name    <name>
//		subject own
//	}
func (s *Backend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return parseMethod(d, "backend", "accounts", &s.ID, map[string]func() error{
		"url":     func() error { return options.CheckedArg(d, &s.URL, signedhttp.CheckURL) },
		"secret":  func() error { return options.SecretArg(d, &s.Secret) },
		"timeout": func() error { return options.DurationArg(d, &s.Timeout) },
		"name":    func() error { return options.TextArg(d, &s.Name) },
		"subject": func() error { return subjectOption(d, &s.Subject) },
	}, func() error {
		_, err := s.backend(secrets.Checkable(s.Secret))
		return err
	})
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Backend)(nil)
	_ caddyfile.Unmarshaler = (*Backend)(nil)
)
