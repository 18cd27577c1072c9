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
)

func init() {
	httpcaddyfile.RegisterGlobalOption("sso", parseApp)
	httpcaddyfile.RegisterDirective("sso_portal", parsePortal)
	httpcaddyfile.RegisterDirective("sso_gate", parseGate)
	// The portal comes first, so that no gate is before the sign-in page. The gate
	// comes before every handler that answers or rewrites, so that it sees each
	// request unchanged. Of two registrations before the same directive, the later
	// one comes second.
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
		return nil, d.Err("duplicate option: sso; put everything into one")
	}
	lines := optionLines{}
	if err := options.Block(d, map[string]func() error{
		"issuer":  func() error { return options.CheckedArg(d, &a.Issuer, options.ParsedBy(ParseIssuer)) },
		"storage": func() error { return a.unmarshalStorage(d) },
		"record_format": func() error {
			if err := options.PositiveArg(d, &a.RecordFormat); err != nil {
				return err
			}
			return options.WithLine(d, checkRecordFormat(&a.RecordFormat))
		},
		"session": func() error { return a.Session.unmarshal(d) },
		"codes":   func() error { return a.Codes.unmarshal(d) },
		"signin":  func() error { return a.unmarshalSignin(d) },
		"client":  func() error { return a.unmarshalClient(d, lines) },
		"brand":   func() error { return a.Brand.unmarshal(d) },
		"license": func() error { return unmarshalLicense(d, &a.License, lines) },
	}); err != nil {
		return nil, err
	}
	if a.Issuer == "" {
		return nil, d.Err("sso: issuer is missing; add the portal's public origin, such as: issuer https://login.example.com")
	}
	if err := a.checkSignin(); err != nil {
		return nil, d.Err("sso: " + err.Error())
	}
	if err := a.checkReferences(a.mayHaveMethod); err != nil {
		return nil, lines.addLine(err)
	}
	return httpcaddyfile.App{Name: "sso", Value: caddyconfig.JSON(a, nil)}, nil
}

func (a *App) unmarshalStorage(d *caddyfile.Dispenser) (err error) {
	if a.StorageRaw != nil {
		return d.Err("duplicate option: storage; keep one of the two")
	}
	a.StorageRaw, err = options.ModuleArg(d, "sso.storage.", "engine")
	return err
}

func (a *App) unmarshalSignin(d *caddyfile.Dispenser) error {
	line := *d
	raw, err := options.ModuleArg(d, "sso.signin.", "method")
	if err != nil {
		return err
	}
	a.SigninRaw = append(a.SigninRaw, raw)
	return options.WithLine(&line, signinmethods.CheckOwnSubjects(a.SigninRaw))
}

func (b *BrandConfig) unmarshal(d *caddyfile.Dispenser) error {
	return options.Block(d, map[string]func() error{
		"name": func() error { return options.TextArg(d, &b.Name) },
		"logo": func() error { return options.CheckedArg(d, &b.Logo, func(string) error { return b.check() }) },
		"accent": func() error {
			if d.CountRemainingArgs() == 0 {
				return d.Err(`accent: expected a colour in quotes, such as "#7a3ff2"; without quotes, # begins a comment`)
			}
			return options.CheckedArg(d, &b.Accent, func(string) error { return b.check() })
		},
	})
}

// optionOf returns the settings of the global option in a handler's Caddyfile.
func optionOf(h httpcaddyfile.Helper) (*App, error) {
	option, ok := h.Option("sso").(httpcaddyfile.App)
	if !ok {
		return nil, h.Err("the global option sso is missing; it has the sign-in methods and the clients: add it at the top: { sso { … } }")
	}
	a := new(App)
	if err := json.Unmarshal(option.Value, a); err != nil {
		return nil, fmt.Errorf("reading the option sso: %w", err)
	}
	return a, nil
}

func (a *App) client(id string) *ClientConfig {
	i := slices.IndexFunc(a.Clients, func(c *ClientConfig) bool { return c != nil && c.ID == id })
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
