package customers

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/signin"
)

// A Record is one line of a file of customers: a customer account, the
// products that it has, and the sign-in methods that are its own.
type Record struct {
	Code         string            `json:"code"`
	Products     []string          `json:"products"`
	Providers    []json.RawMessage `json:"providers,omitempty"`
	Signin       []string          `json:"signin,omitempty"`
	EmailDomains []string          `json:"email_domains,omitempty"`
	Disabled     bool              `json:"disabled,omitempty"`

	own []customerProvider // Providers, parsed
}

// A customerProvider is a sign-in method of the customer's own, before its secret is
// read.
type customerProvider struct {
	id     string
	text   string // as on the line
	secret string // as on the line: with placeholders

	make func(secret string, log *zap.Logger) (signin.Method, error)
}

// maxCustomerProviders bounds the sign-in methods of one customer.
const maxCustomerProviders = 16

// Kind describes a file of customers.
var Kind = jsonlines.Kind{
	One: "customer", Many: "customers",
	Example:  `{"code":"acme","products":["demo"],"providers":[{"id":"acme","issuer":"https://login.acme.example","client_id":"…","client_secret":"{env.ACME_SECRET}"}]}`,
	Create:   "caddy sso license customer add <code>",
	MaxLines: 20_000,
}

// Format is how a file of customers is edited.
var Format = jsonlines.Format[Record]{Kind: Kind, Parse: parseCustomer}

// parseCustomer reads a line, and checks everything that does not depend on the
// Caddyfile or on the values of secrets. Its errors contain no part of a secret.
func parseCustomer(line []byte) (Record, error) {
	var c Record
	if err := Kind.Decode(line, &c); err != nil {
		return Record{}, err
	}
	if c.Code == "" {
		return Record{}, errors.New("code is missing")
	}
	if err := c.check(); err != nil {
		return Record{}, fmt.Errorf("customer %q: %w", c.Code, err)
	}
	return c, nil
}

func (c *Record) check() error {
	if len(c.Providers) > maxCustomerProviders {
		return fmt.Errorf("has %d providers; expected at most %d", len(c.Providers), maxCustomerProviders)
	}
	for i, raw := range c.Providers {
		p, err := parseCustomerProvider(c.Code, raw)
		if err != nil {
			return fmt.Errorf("provider %d: %w", i+1, err)
		}
		if slices.ContainsFunc(c.own, func(o customerProvider) bool { return strings.EqualFold(o.id, p.id) }) {
			return fmt.Errorf("duplicate provider %q; IDs are compared without case: give each provider an ID of its own", p.id)
		}
		c.own = append(c.own, p)
	}
	if len(c.Products) == 0 {
		return errors.New("has no products; add their codes, such as: \"products\":[\"demo\"]")
	}
	for _, name := range slices.Concat(c.Products, c.Signin) {
		if name == "" {
			return errors.New("an entry of products or signin is empty")
		}
		if !oauth.CleanText(name) { // it would come to a terminal
			return fmt.Errorf("%q has control characters", name)
		}
	}
	if len(c.own)+len(c.Signin) == 0 {
		return errors.New("has no sign-in method; add one of its own to providers, or add the ID of one of the Caddyfile to signin")
	}
	return c.Account().Validate()
}

// Account is the customer account, with all sign-in methods that are allowed for it.
func (c *Record) Account() *oauth.CustomerAccount {
	a := &oauth.CustomerAccount{Code: c.Code, EmailDomains: c.EmailDomains, Products: c.Products, Methods: c.Signin}
	a.Methods = append(slices.Clone(c.Signin), c.providerIDs()...)
	return a
}

func (c *Record) providerIDs() []string {
	ids := make([]string, 0, len(c.own))
	for _, p := range c.own {
		ids = append(ids, p.id)
	}
	return ids
}

// parseCustomerProvider reads a sign-in method, with the fields of the JSON
// configuration. The field method is its kind; default: oidc.
func parseCustomerProvider(code string, raw json.RawMessage) (customerProvider, error) {
	var kind struct {
		Method string `json:"method"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return customerProvider{}, errors.New(`cannot be read; expected for example {"id":"acme","issuer":"https://login.acme.example","client_id":"…"}`)
	}
	p, subject := customerProvider{text: string(raw)}, ""
	var err error
	switch kind.Method {
	case "", "oidc":
		var s struct {
			Method string `json:"method"`
			signinmethods.OIDC
		}
		if err = jsonlines.DecodeStrictly(raw, &s); err != nil {
			break
		}
		mark := customerMark(code, "oidc", s.Issuer, s.ClientID)
		p.id, p.secret, subject = s.ID, s.ClientSecret, s.Subject
		p.make = func(secret string, log *zap.Logger) (signin.Method, error) {
			return s.MethodWith(secret, mark, log)
		}
	case "trusted":
		var s struct {
			Method string `json:"method"`
			signinmethods.Trusted
		}
		if err = jsonlines.DecodeStrictly(raw, &s); err != nil {
			break
		}
		mark := customerMark(code, "trusted", s.URL, "")
		p.id, p.secret, subject = s.ID, s.Secret, s.Subject
		p.make = func(secret string, log *zap.Logger) (signin.Method, error) {
			return s.MethodWith(secret, mark, log)
		}
	default:
		err = fmt.Errorf("method %q is unknown; expected oidc or trusted", kind.Method)
	}
	if err == nil && subject != "" { // by which it could name the users of any other method
		err = fmt.Errorf("subject %s is not for a provider of a customer; leave it out, and put {user.id} into a claim of the clients", subject)
	}
	if err == nil {
		err = secrets.CheckWritten(p.secret)
	}
	if err == nil {
		_, err = p.make(secrets.Checkable(p.secret), nil)
	}
	return p, err
}

// customerMark returns the mark for the users of a customer's own provider. So a
// session is not valid for another customer whose provider gets the same ID later.
func customerMark(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
