package caddymodule

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/oauth"
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
//		storage file [<path>] | memory | redis <url> { storage_key <key> }
//		session {
//			idle         <duration>
//			lifetime     <duration>
//			outage_grace <duration>
//			cache        <sessions>
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
//			accent <#rrggbb>
//		}
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	a := new(App)
	if previous, ok := existing.(httpcaddyfile.App); ok {
		return nil, d.Errf("%s is configured twice", previous.Name)
	}
	d.Next()
	err := options(d, map[string]func() error{
		"issuer": func() error {
			if err := one(d, &a.Issuer); err != nil {
				return err
			}
			if _, err := ParseIssuer(a.Issuer); err != nil {
				return d.Err(err.Error())
			}
			return nil
		},
		"storage": func() error {
			if a.StorageRaw != nil {
				return d.Err("storage is there twice")
			}
			raw, err := guest(d, "sso.storage.", "engine")
			a.StorageRaw = raw
			return err
		},
		"session": func() error { return a.Session.unmarshal(d) },
		"codes":   func() error { return a.Codes.unmarshal(d) },
		"signin": func() error {
			raw, err := guest(d, "sso.signin.", "method")
			a.SigninRaw = append(a.SigninRaw, raw)
			return err
		},
		"client": func() error {
			c, err := unmarshalClient(d)
			a.Clients = append(a.Clients, c)
			return err
		},
		"brand": func() error {
			return options(d, map[string]func() error{
				"name":   func() error { return one(d, &a.Brand.Name) },
				"logo":   func() error { return one(d, &a.Brand.Logo) },
				"accent": func() error { return one(d, &a.Brand.Accent) },
			})
		},
	})
	if err != nil {
		return nil, err
	}
	if a.Issuer == "" {
		return nil, d.Err("sso: issuer is missing; add the portal's public origin, such as: issuer https://login.example.com")
	}
	return httpcaddyfile.App{Name: "sso", Value: caddyconfig.JSON(a, nil)}, nil
}

// guest reads a module by its name and options.
func guest(d *caddyfile.Dispenser, namespace, inlineKey string) (json.RawMessage, error) {
	option := d.Val()
	if !d.NextArg() {
		return nil, d.Errf("%s: expected one of: %v", option, guests(namespace))
	}
	name := d.Val()
	if !slices.Contains(guests(namespace), name) {
		return nil, d.Errf("%s: unknown %q; expected one of: %v", option, name, guests(namespace))
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
	err := options(d, map[string]func() error{
		"idle":         func() error { return duration(d, &s.Idle) },
		"lifetime":     func() error { return duration(d, &s.Lifetime) },
		"outage_grace": func() error { return duration(d, &s.OutageGrace) },
		"cache":        func() error { return positive(d, &s.Cache) },
	})
	if err != nil {
		return err
	}
	checked := *s
	checked.setDefaults()
	return onLine(d, checked.validate())
}

func (c *CodesConfig) unmarshal(d *caddyfile.Dispenser) error {
	err := options(d, map[string]func() error{
		"lifetime":    func() error { return duration(d, &c.Lifetime) },
		"capacity":    func() error { return positive(d, &c.Capacity) },
		"per_session": func() error { return positive(d, &c.PerSession) },
	})
	if err != nil {
		return err
	}
	checked := *c
	checked.setDefaults()
	return onLine(d, checked.validate())
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
//		token_alg     RS256 | ES256 | EdDSA
//		project       <uuid>
//		allow_no_pkce
//		disabled
//	}
func unmarshalClient(d *caddyfile.Dispenser) (*ClientConfig, error) {
	c := new(ClientConfig)
	if err := one(d, &c.ID); err != nil {
		return nil, err
	}
	line := *d
	err := options(d, map[string]func() error{
		"name":          func() error { return one(d, &c.Name) },
		"public":        flag(&c.Public),
		"secret":        func() error { return one(d, &c.Secret) },
		"allow_no_pkce": flag(&c.AllowNoPKCE),
		"disabled":      flag(&c.Disabled),
		"audience":      func() error { return some(d, &c.Audiences) },
		"scope":         func() error { return some(d, &c.Scopes) },
		"project":       func() error { return one(d, &c.Project) },
		"redirect_uri": func() error {
			return each(d, &c.RedirectURIs, func(raw string) error {
				_, err := oauth.ParseRedirectURI(raw)
				return err
			})
		},
		"fail_auth_url": func() error {
			return each(d, &c.FailAuthURLs, func(raw string) error {
				_, err := oauth.ParseFailAuthURL(raw)
				return err
			})
		},
		"token_alg": func() error {
			if err := one(d, &c.TokenAlg); err != nil {
				return err
			}
			if !slices.Contains([]keys.Algorithm{keys.RS256, keys.ES256, keys.EdDSA}, keys.Algorithm(c.TokenAlg)) {
				return d.Errf("token_alg: unknown %q; expected RS256, ES256 or EdDSA", c.TokenAlg)
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	if c.Public && c.Secret != "" {
		return nil, line.Errf("client %s is both public and has a secret; remove one of the two", c.ID)
	}
	if !c.Public && c.Secret == "" {
		return nil, line.Errf("client %s has neither a secret nor the word public; a game or browser client is public, a server has a secret", c.ID)
	}
	if len(c.RedirectURIs) == 0 {
		return nil, line.Errf("client %s has no redirect_uri; add the URL that codes are sent to", c.ID)
	}
	return c, nil
}
