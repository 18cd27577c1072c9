package signinmethods

import (
	"cmp"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(Trusted))
}

// Trusted signs in the users of a sign-in page of your own. The server of that page
// sends a signed request to `/sso/trusted/<id>/ticket`, and gets a ticket. With the
// ticket it sends the browser back.
type Trusted struct {
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

	// `own` takes the subject that your server sends as the user's subject, unchanged.
	// Only one method can have it, since its operator decides who a user is. Default: a
	// UUID that is derived from that subject and the ID of the method.
	Subject string `json:"subject,omitempty"`

	provisioned
}

// CaddyModule returns the Caddy module information.
func (*Trusted) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.trusted", New: func() caddy.Module { return new(Trusted) }}
}

// Provision reads the secret.
func (s *Trusted) Provision(ctx caddy.Context) error {
	return s.provision(ctx, "trusted "+s.ID, "secret", s.Secret)
}

// Method implements caddymodule.MethodModule.
func (s *Trusted) Method() (signin.Method, error) {
	return madeBy("trusted "+s.ID, func() (*remote.Trusted, error) { return s.trusted(s.secret) })
}

func (s *Trusted) trusted(secret string) (*remote.Trusted, error) {
	if err := checkMethodID("trusted", s.ID); err != nil {
		return nil, err
	}
	if err := checkSignedServer(s.URL, secret, "sign-in page"); err != nil {
		return nil, err
	}
	if err := checkButton(s.Name, s.Icon); err != nil {
		return nil, err
	}
	own, err := ownSubjects(s.Subject)
	if err != nil {
		return nil, err
	}
	return remote.NewTrusted(remote.TrustedOptions{
		ID: s.ID, Name: cmp.Or(s.Name, s.ID), Icon: s.Icon, URL: s.URL, Secret: secret, OwnSubjects: own, Mark: s.mark, Log: s.log,
	})
}

// MethodWith returns the sign-in method without Provision, with a secret that was
// already read. It is for a customer whose users get the mark.
func (s Trusted) MethodWith(secret, mark string, log *zap.Logger) (signin.Method, error) {
	s.provisioned = provisioned{secret, mark, log}
	return s.Method()
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
func (s *Trusted) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return parseMethod(d, "trusted", "game", &s.ID, map[string]func() error{
		"url":     func() error { return options.CheckedArg(d, &s.URL, remote.CheckTrustedURL) },
		"secret":  func() error { return options.SecretArg(d, &s.Secret) },
		"name":    func() error { return options.TextArg(d, &s.Name) },
		"icon":    func() error { return options.CheckedArg(d, &s.Icon, page.CheckIcon) },
		"subject": func() error { return subjectOption(d, &s.Subject) },
	}, func() error {
		_, err := s.trusted(secrets.Checkable(s.Secret))
		return err
	})
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Trusted)(nil)
	_ caddyfile.Unmarshaler = (*Trusted)(nil)
)
