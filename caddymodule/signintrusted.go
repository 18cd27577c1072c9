package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(SigninTrusted))
}

// SigninTrusted signs in whom a sign-in page of your own has signed in. Its
// server trades a signed request for a ticket at `/sso/trusted/<id>/ticket`, with
// which it sends the browser back.
type SigninTrusted struct {
	// The ID, unique among the sign-in methods: letters, digits, `-` and `_`.
	// Sessions remember it, and the users' subjects depend on it. Required.
	ID string `json:"id,omitempty"`

	// Your sign-in page: https, or http on loopback. Required.
	URL string `json:"url,omitempty"`

	// What requests for tickets are signed with: at least 16 characters.
	// Placeholders are replaced. Required.
	Secret string `json:"secret,omitempty"`

	// What the button on the sign-in page calls it. Default: the ID.
	Name string `json:"name,omitempty"`

	// The address of an icon for the button: an absolute path of the portal, or
	// an https URL. Default: none.
	Icon string `json:"icon,omitempty"`

	// `own` takes the subject that your server says as the user's subject, as it is.
	// At most one way has it, and whoever runs that way says who users are.
	// Default: a UUID that is derived from it and the ID of the way.
	Subject string `json:"subject,omitempty"`

	secret string
	mark   string // of a page that comes and goes
	log    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*SigninTrusted) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.trusted", New: func() caddy.Module { return new(SigninTrusted) }}
}

// Provision replaces placeholders.
func (s *SigninTrusted) Provision(ctx caddy.Context) error {
	s.log = ctx.Logger()
	secret, err := readSecret(s.Secret)
	if err != nil {
		return fmt.Errorf("signin trusted %s: secret: %w", s.ID, err)
	}
	s.secret = secret
	return nil
}

// Method implements MethodModule.
func (s *SigninTrusted) Method() (signin.Method, error) {
	method, err := s.trusted(s.secret)
	if err != nil {
		return nil, fmt.Errorf("trusted %s: %w", s.ID, err)
	}
	return method, nil
}

func (s *SigninTrusted) trusted(secret string) (*remote.Trusted, error) {
	if err := checkMethodIDText("trusted", s.ID); err != nil {
		return nil, err
	}
	if s.URL == "" {
		return nil, errors.New("url is missing; add the one of your sign-in page")
	}
	if secret == "" {
		return nil, errMissingSecret
	}
	if s.Icon != "" {
		if err := page.CheckIcon(s.Icon); err != nil {
			return nil, fmt.Errorf("icon %q: %w", s.Icon, err)
		}
	}
	if !oauth.CleanText(s.Name) {
		return nil, fmt.Errorf("name %q has control characters", s.Name)
	}
	own, err := ownSubjects(s.Subject)
	if err != nil {
		return nil, err
	}
	o := remote.TrustedOptions{ID: s.ID, Name: s.Name, Icon: s.Icon, URL: s.URL, Secret: secret, OwnSubjects: own, Mark: s.mark, Log: s.log}
	setDefault(&o.Name, s.ID)
	return remote.NewTrusted(o)
}

// UnmarshalCaddyfile sets up the page from Caddyfile tokens. Syntax:
//
//	signin trusted <id> {
//		url     <url>
//		secret  <secret>
//		name    <name>
//		icon    <url>
//		subject own
//	}
func (s *SigninTrusted) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	line := *d
	if !d.NextArg() {
		return d.Errf("expected: signin trusted <id> { … }, for example: signin trusted game { … }")
	}
	s.ID = d.Val()
	err := parseOptions(d, map[string]func() error{
		"url":     func() error { return checkedArg(d, &s.URL, remote.CheckTrustedURL) },
		"secret":  func() error { return secretOption(d, &s.Secret) },
		"name":    func() error { return textArg(d, &s.Name) },
		"icon":    func() error { return checkedArg(d, &s.Icon, page.CheckIcon) },
		"subject": func() error { return subjectOption(d, &s.Subject) },
	})
	if err != nil {
		return err
	}
	if _, err := s.trusted(checkable(s.Secret)); err != nil {
		return line.WrapErr(fmt.Errorf("signin trusted %s: %w", s.ID, err))
	}
	return nil
}

// Interface guards
var (
	_ MethodModule          = (*SigninTrusted)(nil)
	_ caddy.Provisioner     = (*SigninTrusted)(nil)
	_ caddyfile.Unmarshaler = (*SigninTrusted)(nil)
)
