package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(SigninBackend))
}

// SigninBackend signs in the users of your own backend, which is asked whether
// a password is right.
type SigninBackend struct {
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
func (*SigninBackend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.backend", New: func() caddy.Module { return new(SigninBackend) }}
}

// Provision replaces placeholders. The backend is asked at the first sign-in.
func (s *SigninBackend) Provision(ctx caddy.Context) error {
	s.log = ctx.Logger()
	secret, err := readSecret(s.Secret)
	if err != nil {
		return fmt.Errorf("signin backend %s: secret: %w", s.ID, err)
	}
	s.secret = secret
	return nil
}

// Method implements MethodModule.
func (s *SigninBackend) Method() (signin.Method, error) {
	method, err := s.backend(s.secret)
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", s.ID, err)
	}
	return method, nil
}

const maxBackendTimeout = caddy.Duration(10 * time.Second)

func (s *SigninBackend) backend(secret string) (*remote.Backend, error) {
	if err := checkMethodIDText("backend", s.ID); err != nil {
		return nil, err
	}
	if s.URL == "" {
		return nil, errors.New("url is missing; add the one of your backend that checks passwords")
	}
	if secret == "" {
		return nil, errMissingSecret
	}
	timeout, name := s.Timeout, s.Name
	setDefault(&timeout, caddy.Duration(5*time.Second))
	setDefault(&name, s.ID)
	if timeout < 0 || timeout > maxBackendTimeout {
		return nil, fmt.Errorf("timeout is %s; expected at most 10s", time.Duration(timeout))
	}
	if !oauth.CleanText(name) {
		return nil, fmt.Errorf("name %q has control characters", name)
	}
	own, err := ownSubjects(s.Subject)
	if err != nil {
		return nil, err
	}
	server, err := signedhttp.NewClient(s.URL, secret, time.Duration(timeout), wallClock)
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

var errMissingSecret = errors.New("secret is missing; make one with: openssl rand -base64 32")

// checkMethodID refuses what cannot be the ID of a sign-in method.
func checkMethodIDText(method, id string) error {
	if !methodIDPattern.MatchString(id) {
		return fmt.Errorf("the ID %q is not of letters, digits, - and _, at most 64; write for example: signin %s acme", id, method)
	}
	if id == "local" {
		return errors.New("local is the ID of signin local; choose another")
	}
	return nil
}

// checkable is a secret as the Caddyfile can check it: what a placeholder
// stands for is not known yet.
func checkable(secret string) string {
	if hasPlaceholder(secret) {
		return "a placeholder stands for it"
	}
	return secret
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
func (s *SigninBackend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	line := *d
	if !d.NextArg() {
		return d.Errf("expected: signin backend <id> { … }, for example: signin backend accounts { … }")
	}
	s.ID = d.Val()
	err := parseOptions(d, map[string]func() error{
		"url":     func() error { return checkedArg(d, &s.URL, signedhttp.CheckURL) },
		"secret":  func() error { return secretOption(d, &s.Secret) },
		"timeout": func() error { return duration(d, &s.Timeout) },
		"name":    func() error { return textArg(d, &s.Name) },
		"subject": func() error { return subjectOption(d, &s.Subject) },
	})
	if err != nil {
		return err
	}
	if _, err := s.backend(checkable(s.Secret)); err != nil {
		return line.WrapErr(fmt.Errorf("signin backend %s: %w", s.ID, err))
	}
	return nil
}

// Interface guards
var (
	_ MethodModule          = (*SigninBackend)(nil)
	_ caddy.Provisioner     = (*SigninBackend)(nil)
	_ caddyfile.Unmarshaler = (*SigninBackend)(nil)
)
