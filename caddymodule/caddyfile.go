package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

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
	err := parseOptions(d, map[string]func() error{
		"license": func() (err error) {
			refs, err = unmarshalLicense(d, &a.License)
			return err
		},
		"issuer": func() error {
			return checkedArg(d, &a.Issuer, func(raw string) error {
				_, err := ParseIssuer(raw)
				return err
			})
		},
		"storage": func() error {
			if a.StorageRaw != nil {
				return d.Err("storage is there twice")
			}
			raw, err := guest(d, "sso.storage.", "engine")
			a.StorageRaw = raw
			return err
		},
		"record_format": func() error {
			if err := positive(d, &a.RecordFormat); err != nil {
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
			raw, err := guest(d, "sso.signin.", "method")
			if err != nil {
				return err
			}
			a.SigninRaw = append(a.SigninRaw, raw)
			return withLine(&line, checkNaming(a.SigninRaw))
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
			return parseOptions(d, map[string]func() error{
				"name": func() error { return textArg(d, &a.Brand.Name) },
				"logo": func() error { return checkedArg(d, &a.Brand.Logo, func(string) error { return a.Brand.check() }) },
				"accent": func() error {
					if d.CountRemainingArgs() == 0 {
						return d.Err(`accent: expected a colour in quotes, such as "#7a3ff2"; without them # begins a comment`)
					}
					return checkedArg(d, &a.Brand.Accent, func(string) error { return a.Brand.check() })
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

// guest reads a module by its name and options.
func guest(d *caddyfile.Dispenser, namespace, inlineKey string) (json.RawMessage, error) {
	option := d.Val()
	if !d.NextArg() {
		return nil, d.Errf("%s: expected one of: %v", option, guests(namespace))
	}
	name := d.Val()
	if !slices.Contains(guests(namespace), name) {
		if option == "signin" && providerAdvice(name) != "" {
			return nil, d.Errf("signin: unknown %q; %s", name, providerAdvice(name))
		}
		return nil, d.Errf("%s: unknown %q; %sexpected one of: %v", option, name, didYouMean(name, guests(namespace)), guests(namespace))
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, inlineKey, name, nil), nil
}

func guests(namespace string) []string {
	modules := caddy.GetModules(namespace[:len(namespace)-1])
	names := make([]string, 0, len(modules))
	for _, m := range modules {
		names = append(names, m.ID.Name())
	}
	slices.Sort(names)
	return names
}

func (s *SessionConfig) unmarshal(d *caddyfile.Dispenser) error {
	err := parseOptions(d, map[string]func() error{
		"idle":         func() error { return duration(d, &s.Idle) },
		"lifetime":     func() error { return duration(d, &s.Lifetime) },
		"outage_grace": func() error { return duration(d, &s.OutageGrace) },
		"cache":        func() error { return positive(d, &s.Cache) },
		"per_user":     func() error { return positive(d, &s.PerUser) },
		"same_site":    func() error { return textArg(d, &s.SameSite) },
	})
	if err != nil {
		return err
	}
	checked := *s
	checked.setDefaults()
	return withLine(d, checked.validate())
}

func (c *CodesConfig) unmarshal(d *caddyfile.Dispenser) error {
	err := parseOptions(d, map[string]func() error{
		"lifetime":    func() error { return duration(d, &c.Lifetime) },
		"capacity":    func() error { return positive(d, &c.Capacity) },
		"per_session": func() error { return positive(d, &c.PerSession) },
	})
	if err != nil {
		return err
	}
	checked := *c
	checked.setDefaults()
	return withLine(d, checked.validate())
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
	err := parseOptions(d, map[string]func() error{
		"name":             func() error { return textArg(d, &c.Name) },
		"public":           boolOption(&c.Public),
		"secret":           func() error { return secretOption(d, &c.Secret) },
		"allow_no_pkce":    boolOption(&c.AllowNoPKCE),
		"default_audience": boolOption(&c.DefaultAudience),
		"disabled":         boolOption(&c.Disabled),
		"audience":         func() error { return textArgs(d, &c.Audiences) },
		"scope":            func() error { return textArgs(d, &c.Scopes) },
		"project":          func() error { return checkedArg(d, &c.Project, checkProject) },
		"signin":           func() error { return textArgs(d, &c.Signin) },
		"redirect_uri": func() error {
			return eachArg(d, &c.RedirectURIs, func(raw string) error {
				_, err := oauth.ParseRedirectURI(raw)
				return err
			})
		},
		"fail_auth_url": func() error {
			return eachArg(d, &c.FailAuthURLs, func(raw string) error {
				_, err := oauth.ParseFailAuthURL(raw)
				return err
			})
		},
		"post_logout_redirect_uri": func() error {
			return eachArg(d, &c.PostLogoutRedirectURIs, func(raw string) error {
				_, err := oauth.ParsePostLogoutRedirectURI(raw)
				return err
			})
		},
		"token_alg": func() error {
			return checkedArg(d, &c.TokenAlg, func(alg string) error {
				if !slices.Contains(oauth.TokenAlgs, keys.Algorithm(alg)) {
					return fmt.Errorf("token_alg %q is unknown; use RS256, ES256, EdDSA or HS256", alg)
				}
				return nil
			})
		},
		"hs256_key":        func() error { return secretOption(d, &c.HS256Key) },
		"token_lifetime":   func() error { return duration(d, &c.TokenLifetime) },
		"refresh_lifetime": func() error { return duration(d, &c.RefreshLifetime) },
		"claim":            func() error { return c.unmarshalClaim(d) },
		"scope_text":       func() error { return c.unmarshalScopeText(d) },
		"consent": func() error {
			return checkedArg(d, &c.Consent, func(mode string) error { return oauth.ConsentMode(mode).Check() })
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
	if err := checkReplaced(d, "claim", args[1]); err != nil {
		return err
	}
	if c.Claims == nil {
		c.Claims = map[string]string{}
	}
	c.Claims[args[0]] = args[1]
	return nil
}
