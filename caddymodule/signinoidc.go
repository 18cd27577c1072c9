package caddymodule

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(SigninOIDC))
}

// SigninOIDC signs in the users of an outside OpenID Connect provider. At the
// provider, the redirect URI is the portal's issuer and `/sso/callback/<id>`, and
// the address of back-channel logout that and `/sso/backchannel_logout/<id>`.
type SigninOIDC struct {
	// The ID, unique among the sign-in methods: letters, digits, `-` and `_`.
	// Sessions remember it, and it is part of the redirect URI. Required.
	ID string `json:"id,omitempty"`

	// The provider's issuer, byte for byte as it names itself. http is for
	// loopback only. Required.
	Issuer string `json:"issuer,omitempty"`

	// The ID that the provider gave this portal. Required.
	ClientID string `json:"client_id,omitempty"`

	// The secret that the provider gave this portal. Placeholders are replaced.
	// Default: none, which suits a provider that takes PKCE alone.
	ClientSecret string `json:"client_secret,omitempty"`

	// What the button on the sign-in page calls the provider. Default: the ID.
	Name string `json:"name,omitempty"`

	// The address of an icon for the button: an absolute path of the portal, or
	// an https URL. Default: none.
	Icon string `json:"icon,omitempty"`

	// What the provider is asked for, beside `openid`. Default: `profile` and
	// `email`.
	Scopes []string `json:"scopes,omitempty"`

	// The provider's names for `username` (default: `preferred_username`),
	// `email` (`email`), `email_verified` (`email_verified`), `avatar`
	// (`picture`) and `groups` (no default: no groups are taken). What is within
	// another claim is named by a path, such as `realm_access.roles`. `off` is what
	// is not taken, and so not asked for.
	Claims map[string]string `json:"claims,omitempty"`

	// What separates the groups where their claim is one text, and no list:
	// `comma`, `semicolon`, `space`, or `none`, which says that the text is one
	// name. Default: `none`, and the log says where a text may be a list.
	GroupSeparator string `json:"group_separator,omitempty"`

	// How often a session in use asks the provider, by a refresh token, whether
	// the user may still sign in there; at least `1m`. The provider has to give
	// such a token: see `scopes`. Default: never.
	Recheck caddy.Duration `json:"recheck,omitempty"`

	// Parameters that the provider wants in an authorization request beside the
	// standard ones: `access_type` for example, or `response_mode` with
	// `form_post`. Default: none.
	AuthorizeParams map[string]string `json:"authorize_params,omitempty"`

	// The ID of a way whose users sign in by this provider, too, where the
	// provider verified that they have their e-mail address: `local`. Whoever
	// runs the provider can then sign in as any of them. Default: none.
	LinkEmail string `json:"link_email,omitempty"`

	// `own` takes the provider's `sub` as the user's subject, as it is. At most one
	// way has it, and whoever runs that way says who users are. Default: a UUID that
	// is derived from it and the issuer.
	Subject string `json:"subject,omitempty"`

	secret string
	mark   string // of a provider that comes and goes
	log    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*SigninOIDC) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.oidc", New: func() caddy.Module { return new(SigninOIDC) }}
}

// Provision checks the options. The provider is asked at the first sign-in.
func (s *SigninOIDC) Provision(ctx caddy.Context) error {
	s.log = ctx.Logger()
	secret, err := readSecret(s.ClientSecret)
	if err != nil {
		return fmt.Errorf("signin oidc %s: client_secret: %w", s.ID, err)
	}
	s.secret = secret
	return nil
}

// Method implements MethodModule.
func (s *SigninOIDC) Method() (signin.Method, error) {
	method, err := s.provider()
	if err != nil {
		return nil, fmt.Errorf("oidc %s: %w", s.ID, err)
	}
	return method, nil
}

var methodIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (s *SigninOIDC) provider() (*provider.Method, error) {
	if err := checkMethodIDText("oidc", s.ID); err != nil {
		return nil, err
	}
	if s.Icon != "" {
		if err := page.CheckIcon(s.Icon); err != nil {
			return nil, fmt.Errorf("icon %q: %w", s.Icon, err)
		}
	}
	for _, text := range append(slices.Clone(s.Scopes), s.Name, s.ClientID) {
		if !oauth.CleanText(text) {
			return nil, fmt.Errorf("%q has control characters", text)
		}
	}
	if i := slices.IndexFunc(s.Scopes, func(scope string) bool { return scope == "" || strings.Contains(scope, " ") }); i >= 0 {
		return nil, fmt.Errorf("scope %q is empty, or several in one; write each by itself", s.Scopes[i])
	}
	for name, value := range s.AuthorizeParams {
		if !oauth.CleanText(name) || !oauth.CleanText(value) {
			return nil, fmt.Errorf("authorize_param %q has control characters", name)
		}
	}
	own, err := ownSubjects(s.Subject)
	if err != nil {
		return nil, err
	}
	o := provider.Options{
		ID: s.ID, Name: s.Name, Icon: s.Icon, Issuer: s.Issuer, ClientID: s.ClientID, Secret: provider.NewSecret(s.secret),
		Scopes: s.Scopes, Params: s.AuthorizeParams, Recheck: time.Duration(s.Recheck), LinkEmail: s.LinkEmail, GroupSeparator: s.GroupSeparator, OwnSubjects: own, Mark: s.mark, Now: wallClock, Log: s.log,
	}
	setDefault(&o.Name, s.ID)
	known := map[string]*string{
		"username": &o.Claims.Username, "email": &o.Claims.Email, "email_verified": &o.Claims.EmailVerified,
		"avatar": &o.Claims.Avatar, "groups": &o.Claims.Groups,
	}
	for _, ours := range slices.Sorted(maps.Keys(s.Claims)) {
		field, ok := known[ours]
		if !ok {
			return nil, fmt.Errorf("claim %q is unknown; expected one of: %s", ours, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if s.Claims[ours] == "" {
			return nil, fmt.Errorf("claim %s: expected the provider's name for it", ours)
		}
		*field = s.Claims[ours]
	}
	return provider.New(o)
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	signin oidc <id> {
//		issuer          <url>
//		client_id       <id>
//		client_secret   <secret>
//		name            <name>
//		icon            <url>
//		scope           <scope>...
//		claim           username | email | email_verified | groups | avatar <claim> | off
//		group_separator comma | semicolon | space | none
//		recheck         <duration>
//		authorize_param <name> <value>
//		link_email      <way id>
//		subject         own
//	}
func (s *SigninOIDC) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	line := *d
	if !d.NextArg() {
		return d.Errf("expected: signin oidc <id> { … }, for example: signin oidc acme { … }")
	}
	s.ID = d.Val()
	err := parseOptions(d, map[string]func() error{
		"issuer":          func() error { return checkedArg(d, &s.Issuer, provider.CheckIssuer) },
		"client_id":       func() error { return textArg(d, &s.ClientID) },
		"client_secret":   func() error { return secretOption(d, &s.ClientSecret) },
		"name":            func() error { return textArg(d, &s.Name) },
		"icon":            func() error { return checkedArg(d, &s.Icon, page.CheckIcon) },
		"scope":           func() error { return textArgs(d, &s.Scopes) },
		"claim":           func() error { return s.claim(d) },
		"group_separator": func() error { return textArg(d, &s.GroupSeparator) },
		"recheck":         func() error { return duration(d, &s.Recheck) },
		"link_email":      func() error { return textArg(d, &s.LinkEmail) },
		"subject":         func() error { return subjectOption(d, &s.Subject) },
		"authorize_param": func() error { return s.authorizeParam(d) },
	})
	if err != nil {
		return err
	}
	if _, err := s.provider(); err != nil {
		return line.WrapErr(fmt.Errorf("signin oidc %s: %w", s.ID, err))
	}
	return nil
}

// claim reads ours and the provider's name for it.
func (s *SigninOIDC) claim(d *caddyfile.Dispenser) error {
	name, theirs, err := nameAndValue(d, &s.Claims, "ours and the provider's name for it, such as: claim groups roles")
	if err != nil {
		return err
	}
	_, err = (&SigninOIDC{ID: "x", Issuer: "https://x", ClientID: "x", Claims: map[string]string{name: theirs}}).provider()
	return withLine(d, err)
}

func (s *SigninOIDC) authorizeParam(d *caddyfile.Dispenser) error {
	name, value, err := nameAndValue(d, &s.AuthorizeParams, "a name and a value, such as: authorize_param access_type offline")
	if err != nil {
		return err
	}
	_, err = (&SigninOIDC{ID: "x", Issuer: "https://x", ClientID: "x", AuthorizeParams: map[string]string{name: value}}).provider()
	return withLine(d, err)
}

// nameAndValue reads two words into a map, each first word once.
func nameAndValue(d *caddyfile.Dispenser, into *map[string]string, expected string) (name, value string, err error) {
	option := d.Val()
	if !d.Args(&name, &value) {
		return "", "", d.Errf("%s: expected %s", option, expected)
	}
	if _, twice := (*into)[name]; twice {
		return "", "", d.Errf("%s %s is there twice", option, name)
	}
	if err := checkReplaced(d, option, value); err != nil {
		return "", "", err
	}
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[name] = value
	return name, value, nil
}

// Interface guards
var (
	_ MethodModule          = (*SigninOIDC)(nil)
	_ caddy.Provisioner     = (*SigninOIDC)(nil)
	_ caddyfile.Unmarshaler = (*SigninOIDC)(nil)
)
