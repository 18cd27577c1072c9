package caddymodule

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

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
func (a *App) unmarshalClient(d *caddyfile.Dispenser, lines optionLines) error {
	c := new(ClientConfig)
	if !d.NextArg() {
		return d.Errf("client: expected its ID, a positive integer, such as: client 1")
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
		"signin": func() error {
			before := len(c.Signin)
			err := options.TextArgs(d, &c.Signin)
			lines.markEach(d, "client "+c.ID+" signin", c.Signin[before:])
			return err
		},
		"redirect_uri": func() error {
			return options.EachArg(d, &c.RedirectURIs, options.ParsedBy(oauth.ParseRedirectURI))
		},
		"fail_auth_url": func() error {
			return options.EachArg(d, &c.FailAuthURLs, options.ParsedBy(oauth.ParseFailAuthURL))
		},
		"post_logout_redirect_uri": func() error {
			return options.EachArg(d, &c.PostLogoutRedirectURIs, options.ParsedBy(oauth.ParsePostLogoutRedirectURI))
		},
		"token_alg":        func() error { return options.CheckedArg(d, &c.TokenAlg, checkTokenAlg) },
		"hs256_key":        func() error { return options.SecretArg(d, &c.HS256Key) },
		"token_lifetime":   func() error { return options.DurationArg(d, &c.TokenLifetime) },
		"refresh_lifetime": func() error { return options.DurationArg(d, &c.RefreshLifetime) },
		"claim": func() error {
			_, _, err := options.PairArg(d, &c.Claims, `a name and a value, such as: claim studio "The studio"`)
			return err
		},
		"scope_text": func() error { return c.unmarshalScopeText(d) },
		"consent": func() error {
			return options.CheckedArg(d, &c.Consent, func(mode string) error { return oauth.ConsentMode(mode).Check() })
		},
	})
	if err != nil {
		return err
	}
	if _, err := c.withoutSecret(); err != nil {
		return line.WrapErr(err)
	}
	if a.client(c.ID) != nil {
		return line.Errf("duplicate client %s; give every client an ID of its own", c.ID)
	}
	a.Clients = append(a.Clients, c)
	return nil
}

func checkTokenAlg(alg string) error {
	if !slices.Contains(oauth.TokenAlgs, keys.Algorithm(alg)) {
		return fmt.Errorf("token_alg %q is unknown; use RS256, ES256, EdDSA or HS256", alg)
	}
	return nil
}

// unmarshalScopeText reads one line: the scope, and the words for it.
func (c *ClientConfig) unmarshalScopeText(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("scope_text: expected a scope and words in quotes that follow \"will be able to\", such as: scope_text inventory \"see what is in your inventory\"")
	}
	if _, twice := c.ScopeTexts[args[0]]; twice {
		return d.Errf("duplicate option: scope_text %s; keep one of the two", args[0])
	}
	if c.ScopeTexts == nil {
		c.ScopeTexts = map[string]string{}
	}
	c.ScopeTexts[args[0]] = args[1]
	return nil
}
