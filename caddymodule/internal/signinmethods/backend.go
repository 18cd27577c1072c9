package signinmethods

import (
	"cmp"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/wallclock"
	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(Backend))
}

// Backend signs in the users of your own backend, which is asked whether
// a password is right.
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

	// `own` takes the subject that the backend answers as the user's subject, as it
	// is. At most one way has it, and whoever runs that way says who users are.
	// Default: a UUID that is derived from it and the ID of the way.
	Subject string `json:"subject,omitempty"`

	secret string
	log    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Backend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.backend", New: func() caddy.Module { return new(Backend) }}
}

// Provision replaces placeholders. The backend is asked at the first sign-in.
func (s *Backend) Provision(ctx caddy.Context) (err error) {
	s.log = ctx.Logger()
	s.secret, err = provisionSecret("backend", s.ID, "secret", s.Secret)
	return err
}

// Method implements caddymodule.MethodModule.
func (s *Backend) Method() (signin.Method, error) {
	method, err := s.backend(s.secret)
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", s.ID, err)
	}
	return method, nil
}

const (
	defaultBackendTimeout = caddy.Duration(5 * time.Second)
	maxBackendTimeout     = caddy.Duration(10 * time.Second)
)

func (s *Backend) backend(secret string) (*signin.Backend, error) {
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
	method := signin.NewBackend(s.ID, name, server)
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
