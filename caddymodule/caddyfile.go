package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("sso", parseApp)
	httpcaddyfile.RegisterDirective("sso_portal", parsePortal)
	httpcaddyfile.RegisterDirective("sso_gate", parseGate)
	// The portal comes first, so that no gate stands before the sign-in page;
	// the gate before all that answers or rewrites, so that it sees every
	// request as it came. A later registration goes between.
	httpcaddyfile.RegisterDirectiveOrder("sso_portal", httpcaddyfile.Before, "redir")
	httpcaddyfile.RegisterDirectiveOrder("sso_gate", httpcaddyfile.Before, "redir")
}

// parseApp reads the global option. Syntax:
//
//	sso {
//		issuer  <origin>
//		storage file [<path>] | memory | redis <url> { storage_key <key> … }
//		record_format 1 | 2
//		session {
//			idle         <duration>
//			lifetime     <duration>
//			outage_grace <duration>
//			cache        <sessions>
//			per_user     <sessions>
//			same_site    lax | none
//		}
//		codes {
//			lifetime    <duration>
//			capacity    <codes>
//			per_session <codes>
//		}
//		signin <method> { … }
//		client <id> { … }
//		brand {
//			name   <name>
//			logo   <url>
//			accent "#rrggbb"
//		}
//		license { … }
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next()
	a := new(App)
	if existing != nil {
		return nil, d.Err("the option sso is there twice; put all into one")
	}
	var refs []named
	err := options.Block(d, map[string]func() error{
		"license": func() (err error) {
			refs, err = unmarshalLicense(d, &a.License)
			return err
		},
		"issuer": func() error {
			return options.CheckedArg(d, &a.Issuer, func(raw string) error {
				_, err := ParseIssuer(raw)
				return err
			})
		},
		"storage": func() error {
			if a.StorageRaw != nil {
				return d.Err("storage is there twice")
			}
			raw, err := options.ModuleArg(d, "sso.storage.", "engine")
			a.StorageRaw = raw
			return err
		},
		"record_format": func() error {
			if err := options.PositiveArg(d, &a.RecordFormat); err != nil {
				return err
			}
			if err := checkRecordFormat(&a.RecordFormat); err != nil {
				return d.WrapErr(err)
			}
			return nil
		},
		"session": func() error { return a.Session.unmarshal(d) },
		"codes":   func() error { return a.Codes.unmarshal(d) },
		"signin": func() error {
			line := *d
			raw, err := options.ModuleArg(d, "sso.signin.", "method")
			if err != nil {
				return err
			}
			a.SigninRaw = append(a.SigninRaw, raw)
			return options.WithLine(&line, signinmethods.CheckOwnSubjects(a.SigninRaw))
		},
		"client": func() error {
			line := *d
			c, err := unmarshalClient(d)
			if err != nil {
				return err
			}
			if a.client(c.ID) != nil {
				return line.Errf("client %s: defined twice; every client has an ID of its own", c.ID)
			}
			a.Clients = append(a.Clients, c)
			return nil
		},
		"brand": func() error {
			return options.Block(d, map[string]func() error{
				"name": func() error { return options.TextArg(d, &a.Brand.Name) },
				"logo": func() error {
					return options.CheckedArg(d, &a.Brand.Logo, func(string) error { return a.Brand.check() })
				},
				"accent": func() error {
					if d.CountRemainingArgs() == 0 {
						return d.Err(`accent: expected a colour in quotes, such as "#7a3ff2"; without them # begins a comment`)
					}
					return options.CheckedArg(d, &a.Brand.Accent, func(string) error { return a.Brand.check() })
				},
			})
		},
	})
	if err != nil {
		return nil, err
	}
	if a.Issuer == "" {
		return nil, d.Err("sso: issuer is missing; add the portal's public origin, such as: issuer https://login.example.com")
	}
	if err := a.checkSignin(); err != nil {
		return nil, d.Err("sso: " + err.Error())
	}
	if err := checkNamed(a, refs); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "sso", Value: caddyconfig.JSON(a, nil)}, nil
}

// optionOf returns what the global option of a handler's Caddyfile says.
func optionOf(h httpcaddyfile.Helper) (*App, error) {
	option, ok := h.Option("sso").(httpcaddyfile.App)
	if !ok {
		return nil, h.Err("the global option sso is missing, which says who may sign in, and for which clients; add it at the top: { sso { … } }")
	}
	a := new(App)
	if err := json.Unmarshal(option.Value, a); err != nil {
		return nil, fmt.Errorf("reading the option sso: %w", err)
	}
	return a, nil
}

func (a *App) client(id string) *ClientConfig {
	i := slices.IndexFunc(a.Clients, func(c *ClientConfig) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return a.Clients[i]
}

func (s *SessionConfig) unmarshal(d *caddyfile.Dispenser) error {
	err := options.Block(d, map[string]func() error{
		"idle":         func() error { return options.DurationArg(d, &s.Idle) },
		"lifetime":     func() error { return options.DurationArg(d, &s.Lifetime) },
		"outage_grace": func() error { return options.DurationArg(d, &s.OutageGrace) },
		"cache":        func() error { return options.PositiveArg(d, &s.Cache) },
		"per_user":     func() error { return options.PositiveArg(d, &s.PerUser) },
		"same_site":    func() error { return options.TextArg(d, &s.SameSite) },
	})
	if err != nil {
		return err
	}
	checked := *s
	checked.setDefaults()
	return options.WithLine(d, checked.validate())
}

func (c *CodesConfig) unmarshal(d *caddyfile.Dispenser) error {
	err := options.Block(d, map[string]func() error{
		"lifetime":    func() error { return options.DurationArg(d, &c.Lifetime) },
		"capacity":    func() error { return options.PositiveArg(d, &c.Capacity) },
		"per_session": func() error { return options.PositiveArg(d, &c.PerSession) },
	})
	if err != nil {
		return err
	}
	checked := *c
	checked.setDefaults()
	return options.WithLine(d, checked.validate())
}

// unmarshalClient reads a client. Syntax:
//
//	client <id> {
//		name          <name>
//		public | secret <secret>
//		redirect_uri  <uri>...
//		fail_auth_url <url>...
//		audience      <audience>...
//		scope         <scope>...
//		scope_text    <scope> <words>
//		consent       first | always | never
//		token_alg     RS256 | ES256 | EdDSA | HS256
//		hs256_key     <key>
//		token_lifetime   <duration>
//		refresh_lifetime <duration>
//		claim         <name> <value>
//		project       <uuid>
//		signin        <id>...
//		post_logout_redirect_uri <uri>...
//		allow_no_pkce
//		default_audience
//		disabled
//	}
func unmarshalClient(d *caddyfile.Dispenser) (*ClientConfig, error) {
	c := new(ClientConfig)
	if !d.NextArg() {
		return nil, d.Errf("client: expected its ID, a positive integer, such as: client 1")
	}
	c.ID = d.Val()
	line := *d
	err := options.Block(d, map[string]func() error{
		"name":             func() error { return options.TextArg(d, &c.Name) },
		"public":           options.BoolArg(&c.Public),
		"secret":           func() error { return options.SecretArg(d, &c.Secret) },
		"allow_no_pkce":    options.BoolArg(&c.AllowNoPKCE),
		"default_audience": options.BoolArg(&c.DefaultAudience),
		"disabled":         options.BoolArg(&c.Disabled),
		"audience":         func() error { return options.TextArgs(d, &c.Audiences) },
		"scope":            func() error { return options.TextArgs(d, &c.Scopes) },
		"project":          func() error { return options.CheckedArg(d, &c.Project, checkProject) },
		"signin":           func() error { return options.TextArgs(d, &c.Signin) },
		"redirect_uri": func() error {
			return options.EachArg(d, &c.RedirectURIs, func(raw string) error {
				_, err := oauth.ParseRedirectURI(raw)
				return err
			})
		},
		"fail_auth_url": func() error {
			return options.EachArg(d, &c.FailAuthURLs, func(raw string) error {
				_, err := oauth.ParseFailAuthURL(raw)
				return err
			})
		},
		"post_logout_redirect_uri": func() error {
			return options.EachArg(d, &c.PostLogoutRedirectURIs, func(raw string) error {
				_, err := oauth.ParsePostLogoutRedirectURI(raw)
				return err
			})
		},
		"token_alg": func() error {
			return options.CheckedArg(d, &c.TokenAlg, func(alg string) error {
				if !slices.Contains(oauth.TokenAlgs, keys.Algorithm(alg)) {
					return fmt.Errorf("token_alg %q is unknown; use RS256, ES256, EdDSA or HS256", alg)
				}
				return nil
			})
		},
		"hs256_key":        func() error { return options.SecretArg(d, &c.HS256Key) },
		"token_lifetime":   func() error { return options.DurationArg(d, &c.TokenLifetime) },
		"refresh_lifetime": func() error { return options.DurationArg(d, &c.RefreshLifetime) },
		"claim":            func() error { return c.unmarshalClaim(d) },
		"scope_text":       func() error { return c.unmarshalScopeText(d) },
		"consent": func() error {
			return options.CheckedArg(d, &c.Consent, func(mode string) error { return oauth.ConsentMode(mode).Check() })
		},
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.withoutSecret(); err != nil {
		return nil, line.WrapErr(err)
	}
	return c, nil
}

// unmarshalScopeText reads one line: the scope, and the words for it.
func (c *ClientConfig) unmarshalScopeText(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("scope_text: expected a scope and words in quotes that follow \"will be able to\", such as: scope_text inventory \"see what is in your inventory\"")
	}
	if _, twice := c.ScopeTexts[args[0]]; twice {
		return d.Errf("duplicate option: scope_text %s", args[0])
	}
	if c.ScopeTexts == nil {
		c.ScopeTexts = map[string]string{}
	}
	c.ScopeTexts[args[0]] = args[1]
	return nil
}

// unmarshalClaim reads one line: the claim, and what it says.
func (c *ClientConfig) unmarshalClaim(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("claim: expected a name and a value, such as: claim studio \"The studio\"")
	}
	if _, twice := c.Claims[args[0]]; twice {
		return d.Errf("claim %s is there twice", args[0])
	}
	if err := options.CheckNoPlaceholder(d, "claim", args[1]); err != nil {
		return err
	}
	if c.Claims == nil {
		c.Claims = map[string]string{}
	}
	c.Claims[args[0]] = args[1]
	return nil
}
