package caddymodule

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/customers"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
)

// unmarshalLicense reads the License API. What it names is checked once all of
// the option sso is read. Syntax:
//
//	license {
//		default_response_type code | token
//		clock_skew            <duration>
//		openid_configuration
//		signature_key         <file>
//		api_key               <key> <shared key> [revoked | read_only]
//		bearer_client         <id>...
//		customers             <file>
//		customer_account <code> {
//			signin       <id>...
//			email_domain <domain>...
//		}
//		product <code> {
//			client           <id>
//			redirect_uri     <uri>...
//			response_type    code | token...
//			customer_account <code>...
//			seats            <n> [evict_oldest | deny]
//			provision        <url> <secret>
//		}
//	}
func unmarshalLicense(d *caddyfile.Dispenser, to **LicenseConfig, lines optionLines) error {
	if *to != nil {
		return d.Err("duplicate option: license; put everything into one")
	}
	l := new(LicenseConfig)
	*to = l
	return options.Block(d, map[string]func() error{
		"default_response_type": func() error {
			err := options.CheckedArg(d, &l.DefaultResponseType, checkResponseType)
			lines.mark(d, "default_response_type")
			return err
		},
		"clock_skew":           func() error { return options.DurationArg(d, &l.ClockSkew) },
		"openid_configuration": options.BoolArg(&l.OpenIDConfiguration),
		"signature_key":        func() error { return options.TextArg(d, &l.SignatureKey) },
		"api_key":              func() error { return l.unmarshalAPIKey(d) },
		"bearer_client": func() error {
			before := len(l.BearerClients)
			err := options.TextArgs(d, &l.BearerClients)
			lines.markEach(d, "bearer_client", l.BearerClients[before:])
			return err
		},
		"customers":        func() error { return options.CheckedArg(d, &l.CustomersFile, customers.Kind.Check) },
		"customer_account": func() error { return l.unmarshalAccount(d, lines) },
		"product":          func() error { return l.unmarshalProduct(d, lines) },
	})
}

func checkResponseType(t string) error {
	if t != oauth.LicenseCode && t != oauth.LicenseToken {
		return fmt.Errorf("response type %q is unknown; expected code or token", t)
	}
	return nil
}

func (l *LicenseConfig) unmarshalAPIKey(d *caddyfile.Dispenser) error {
	k := new(APIKeyConfig)
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return d.Err("expected: api_key <key> <shared key> [revoked | read_only]")
	}
	k.Key, k.SharedKey = args[0], args[1]
	if len(args) == 3 {
		switch args[2] {
		case "revoked":
			k.Revoked = true
		case "read_only":
			k.ReadOnly = true
		default:
			return d.Errf("api_key: unexpected %q; expected revoked or read_only", args[2])
		}
	}
	for _, written := range []string{k.Key, k.SharedKey} {
		if err := secrets.CheckWritten(written); err != nil {
			return d.Errf("api_key: %v", err)
		}
	}
	if !secrets.HasPlaceholder(k.Key) && !secrets.HasPlaceholder(k.SharedKey) {
		if err := checkAPIKey(k.Key, k.SharedKey); err != nil {
			return d.Errf("api_key: %v", err)
		}
	}
	if slices.ContainsFunc(l.APIKeys, func(other *APIKeyConfig) bool { return other.Key == k.Key }) {
		return d.Err("api_key: duplicate key; remove one of the two lines")
	}
	l.APIKeys = append(l.APIKeys, k)
	return nil
}

func (l *LicenseConfig) unmarshalAccount(d *caddyfile.Dispenser, lines optionLines) error {
	c := new(CustomerAccountConfig)
	if !d.NextArg() {
		return d.Err("customer_account: expected its short code, such as: customer_account acme")
	}
	c.Code = d.Val()
	line := *d
	err := options.Block(d, map[string]func() error{
		"signin": func() error {
			before := len(c.Signin)
			err := options.TextArgs(d, &c.Signin)
			lines.markEach(d, "customer_account "+c.Code+" signin", c.Signin[before:])
			return err
		},
		"email_domain": func() error { return options.TextArgs(d, &c.EmailDomains) },
	})
	if err != nil {
		return err
	}
	if l.account(c.Code) != nil {
		return line.Errf("duplicate customer_account %s; give every customer account a code of its own", c.Code)
	}
	l.CustomerAccounts = append(l.CustomerAccounts, c)
	_, err = oauth.NewLicenses(nil, []*oauth.CustomerAccount{c.account()}, nil, "")
	return options.WithLine(&line, err)
}

func (l *LicenseConfig) account(code string) *CustomerAccountConfig {
	i := slices.IndexFunc(l.CustomerAccounts, func(c *CustomerAccountConfig) bool { return c != nil && c.Code == code })
	if i < 0 {
		return nil
	}
	return l.CustomerAccounts[i]
}

func (l *LicenseConfig) unmarshalProduct(d *caddyfile.Dispenser, lines optionLines) error {
	p := new(ProductConfig)
	if !d.NextArg() {
		return d.Err("product: expected its short code, such as: product demo")
	}
	p.Code = d.Val()
	line := *d
	err := options.Block(d, map[string]func() error{
		"client": func() error {
			err := options.TextArg(d, &p.Client)
			lines.mark(d, "product "+p.Code+" client")
			return err
		},
		"redirect_uri":  func() error { return options.EachArg(d, &p.RedirectURIs, options.ParsedBy(oauth.ParseRedirectURI)) },
		"response_type": func() error { return options.EachArg(d, &p.ResponseTypes, checkResponseType) },
		"customer_account": func() error {
			before := len(p.CustomerAccounts)
			err := options.TextArgs(d, &p.CustomerAccounts)
			lines.markEach(d, "product "+p.Code+" customer_account", p.CustomerAccounts[before:])
			return err
		},
		"seats":     func() error { return p.unmarshalSeats(d) },
		"provision": func() error { return p.unmarshalProvision(d) },
	})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(l.Products, func(other *ProductConfig) bool { return other.Code == p.Code }) {
		return line.Errf("duplicate product %s; give every product a code of its own", p.Code)
	}
	l.Products = append(l.Products, p)
	lines.mark(&line, "product "+p.Code)
	return nil
}

// checkAlone checks a product before the values of placeholders, and its client, are
// known.
func (p *ProductConfig) checkAlone(changing oauth.Accounts) error {
	known := *p
	known.Provision = nil
	var client *oauth.Client
	if p.Client != "" {
		client = new(oauth.Client)
	}
	product, err := known.product(client)
	if err != nil {
		return fmt.Errorf("product %s: %w", p.Code, err)
	}
	accounts := make([]*oauth.CustomerAccount, 0, len(p.CustomerAccounts))
	for _, code := range slices.Compact(slices.Sorted(slices.Values(p.CustomerAccounts))) {
		accounts = append(accounts, &oauth.CustomerAccount{Code: code, Methods: []string{"any"}})
	}
	_, err = oauth.NewLicenses([]*oauth.Product{product}, accounts, changing, "")
	return err
}

func (p *ProductConfig) unmarshalSeats(d *caddyfile.Dispenser) error {
	args := d.CountRemainingArgs()
	if args < 1 || args > 2 {
		return d.Err("expected: seats <n> [evict_oldest | deny]")
	}
	if p.Seats != 0 {
		return d.Err("duplicate option: seats; keep one of the two")
	}
	d.NextArg()
	var err error
	if p.Seats, err = strconv.Atoi(d.Val()); err != nil || p.Seats < 1 {
		return d.Errf("seats: %q is not a positive number", d.Val())
	}
	if d.NextArg() {
		if p.WhenFull = d.Val(); p.WhenFull != evictOldestSession && p.WhenFull != denySession {
			return d.Errf("seats: unexpected %q; expected evict_oldest or deny", d.Val())
		}
	}
	return nil
}

func (p *ProductConfig) unmarshalProvision(d *caddyfile.Dispenser) error {
	if p.Provision != nil {
		return d.Err("duplicate option: provision; keep one of the two")
	}
	p.Provision = new(ProvisionConfig)
	if !d.AllArgs(&p.Provision.URL, &p.Provision.Secret) {
		return d.Err("expected: provision <url> <secret>")
	}
	if err := signedhttp.CheckURL(p.Provision.URL); err != nil {
		return d.Errf("provision: %v", err)
	}
	if err := secrets.CheckWritten(p.Provision.Secret); err != nil {
		return d.Errf("provision: %v", err)
	}
	if secrets.HasPlaceholder(p.Provision.Secret) {
		return nil
	}
	if _, err := licenseapi.NewProvisioner(p.Provision.URL, p.Provision.Secret, nil); err != nil {
		return d.Errf("provision: %v", err)
	}
	return nil
}
