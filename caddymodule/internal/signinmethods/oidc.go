package signinmethods

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/wallclock"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/signin/provider"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(OIDC))
}

// OIDC signs in the users of an outside OpenID Connect provider. At the
// provider, the redirect URI is the portal's issuer and `/sso/callback/<id>`, and
// the address of back-channel logout that and `/sso/backchannel_logout/<id>`.
type OIDC struct {
	// The ID, unique among the sign-in methods: letters, digits, `-` and `_`.
	// Sessions remember it, and it is part of the redirect URI. Required.
	ID string `json:"id,omitempty"`

	// The provider's issuer, byte for byte as it names itself. http is for
	// loopback only. Required.
	Issuer string `json:"issuer,omitempty"`

	// The ID that the provider gave this portal. Required.
	ClientID string `json:"client_id,omitempty"`

	// The secret that the provider gave this portal. Placeholders are replaced.
	// Default: none, for a provider that needs only PKCE.
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

	// The ID of a sign-in method whose users can sign in with this provider, too, if the
	// provider has verified their e-mail address: `local`. The operator of the provider
	// can then sign in as any of them. Default: none.
	LinkEmail string `json:"link_email,omitempty"`

	// `own` takes the provider's `sub` as the user's subject, unchanged. Only one method
	// can have it, since its operator decides who a user is. Default: a UUID that is
	// derived from the `sub` and the issuer.
	Subject string `json:"subject,omitempty"`

	provisioned
}

// CaddyModule returns the Caddy module information.
func (*OIDC) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.oidc", New: func() caddy.Module { return new(OIDC) }}
}

// Provision reads the secret. The first sign-in asks the provider.
func (s *OIDC) Provision(ctx caddy.Context) error {
	return s.provision(ctx, "oidc "+s.ID, "client_secret", s.ClientSecret)
}

// Method implements caddymodule.MethodModule.
func (s *OIDC) Method() (signin.Method, error) {
	return madeBy("oidc "+s.ID, s.provider)
}

// MethodWith returns the sign-in method without Provision, with a secret that was
// already read. It is for a customer whose users get the mark.
func (s OIDC) MethodWith(secret, mark string, log *zap.Logger) (signin.Method, error) {
	s.provisioned = provisioned{secret, mark, log}
	return s.Method()
}

func (s *OIDC) provider() (*provider.Method, error) {
	if err := s.checkTexts(); err != nil {
		return nil, err
	}
	own, err := ownSubjects(s.Subject)
	if err != nil {
		return nil, err
	}
	claims, err := s.providerClaims()
	if err != nil {
		return nil, err
	}
	return provider.New(provider.Options{
		ID: s.ID, Name: cmp.Or(s.Name, s.ID), Icon: s.Icon,
		Issuer: s.Issuer, ClientID: s.ClientID, Secret: provider.NewSecret(s.secret),
		Scopes: s.Scopes, Params: s.AuthorizeParams, Claims: claims, GroupSeparator: s.GroupSeparator,
		Recheck: time.Duration(s.Recheck), LinkEmail: s.LinkEmail, OwnSubjects: own, Mark: s.mark,
		Now: wallclock.Now, Log: s.log,
	})
}

// checkTexts checks the settings that are names, addresses and parameters.
func (s *OIDC) checkTexts() error {
	if err := checkMethodID("oidc", s.ID); err != nil {
		return err
	}
	if err := checkButton(s.Name, s.Icon); err != nil {
		return err
	}
	for _, text := range append(slices.Clone(s.Scopes), s.ClientID) {
		if !oauth.CleanText(text) {
			return fmt.Errorf("%q has control characters", text)
		}
	}
	if i := slices.IndexFunc(s.Scopes, func(scope string) bool { return scope == "" || strings.Contains(scope, " ") }); i >= 0 {
		return fmt.Errorf("scope %q is empty, or has several scopes in one; write each scope as a word of its own", s.Scopes[i])
	}
	for name, value := range s.AuthorizeParams {
		if !oauth.CleanText(name) || !oauth.CleanText(value) {
			return fmt.Errorf("authorize_param %q has control characters", name)
		}
	}
	return nil
}

// providerClaims returns the provider's names for the claims that the portal reads.
func (s *OIDC) providerClaims() (claims provider.Claims, err error) {
	known := map[string]*string{
		"username": &claims.Username, "email": &claims.Email, "email_verified": &claims.EmailVerified,
		"avatar": &claims.Avatar, "groups": &claims.Groups,
	}
	for _, ours := range slices.Sorted(maps.Keys(s.Claims)) {
		field, ok := known[ours]
		if !ok {
			return claims, fmt.Errorf("claim %q is unknown; expected one of: %s", ours, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if s.Claims[ours] == "" {
			return claims, fmt.Errorf("claim %s: expected the provider's name for it", ours)
		}
		*field = s.Claims[ours]
	}
	return claims, nil
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
//		link_email      <method id>
//		subject         own
//	}
func (s *OIDC) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return parseMethod(d, "oidc", "acme", &s.ID, map[string]func() error{
		"issuer":          func() error { return options.CheckedArg(d, &s.Issuer, provider.CheckIssuer) },
		"client_id":       func() error { return options.TextArg(d, &s.ClientID) },
		"client_secret":   func() error { return options.SecretArg(d, &s.ClientSecret) },
		"name":            func() error { return options.TextArg(d, &s.Name) },
		"icon":            func() error { return options.CheckedArg(d, &s.Icon, page.CheckIcon) },
		"scope":           func() error { return options.TextArgs(d, &s.Scopes) },
		"claim":           func() error { return s.claim(d) },
		"group_separator": func() error { return options.TextArg(d, &s.GroupSeparator) },
		"recheck":         func() error { return options.DurationArg(d, &s.Recheck) },
		"link_email":      func() error { return options.TextArg(d, &s.LinkEmail) },
		"subject":         func() error { return subjectOption(d, &s.Subject) },
		"authorize_param": func() error { return s.authorizeParam(d) },
	}, func() error {
		_, err := s.provider()
		return err
	})
}

// claim reads ours and the provider's name for it.
func (s *OIDC) claim(d *caddyfile.Dispenser) error {
	name, theirs, err := options.PairArg(d, &s.Claims, "ours and the provider's name for it, such as: claim groups roles")
	if err != nil {
		return err
	}
	_, err = (&OIDC{ID: "x", Issuer: "https://x", ClientID: "x", Claims: map[string]string{name: theirs}}).provider()
	return options.WithLine(d, err)
}

func (s *OIDC) authorizeParam(d *caddyfile.Dispenser) error {
	name, value, err := options.PairArg(d, &s.AuthorizeParams, "a name and a value, such as: authorize_param access_type offline")
	if err != nil {
		return err
	}
	_, err = (&OIDC{ID: "x", Issuer: "https://x", ClientID: "x", AuthorizeParams: map[string]string{name: value}}).provider()
	return options.WithLine(d, err)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*OIDC)(nil)
	_ caddyfile.Unmarshaler = (*OIDC)(nil)
)
