package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/customers"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/wallclock"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/storage"
)

// LicenseConfig is the License API: which software is licensed, who its
// customers are, and what requests are signed with.
type LicenseConfig struct {
	// The grant of a request that names none: `code` or `token`. A product that
	// does not have it gets the one that it has. Default: `code`.
	DefaultResponseType string `json:"default_response_type,omitempty"`

	// How far the Date header of a request may be ahead or behind. Default: `15m`.
	ClockSkew caddy.Duration `json:"clock_skew,omitempty"`

	// Adds `openid_configuration` to the answer of `sso_url`, which newer
	// clients read. Default: false.
	OpenIDConfiguration bool `json:"openid_configuration,omitempty"`

	// A PEM file with the RSA key that signs answers. It is made if it does not exist.
	// Default: a key in the place of the other signing keys.
	SignatureKey string `json:"signature_key,omitempty"`

	// The keys that requests are signed with.
	APIKeys []*APIKeyConfig `json:"api_keys,omitempty"`

	// The IDs of the clients whose own tokens (grant `client_credentials`)
	// count in place of an API key.
	BearerClients []string `json:"bearer_clients,omitempty"`

	// The customers.
	CustomerAccounts []*CustomerAccountConfig `json:"customer_accounts,omitempty"`

	// A file of more customers and their providers: one JSON object a line, see
	// `caddy sso license customer`. Changes to it take effect within seconds. It has to
	// exist; without customers it has one empty line. If a code is also one of
	// `customer_accounts`, that one is used. Default: none.
	CustomersFile string `json:"customers_file,omitempty"`

	// The licensed software.
	Products []*ProductConfig `json:"products,omitempty"`
}

// APIKeyConfig is a key that requests are signed with.
type APIKeyConfig struct {
	// The key, which requests name. Placeholders are replaced. Required.
	Key string `json:"key,omitempty"`

	// The shared key, which signs. Placeholders are replaced. Required.
	SharedKey string `json:"shared_key,omitempty"`

	// Refuses the key, and says why. Default: false.
	Revoked bool `json:"revoked,omitempty"`

	// Refuses the key, and says why: it may only read, and a sign-in link activates a
	// license. Default: false.
	ReadOnly bool `json:"read_only,omitempty"`
}

// CustomerAccountConfig is a customer, whose own provider signs its users in.
type CustomerAccountConfig struct {
	// The short code that requests name. Required.
	Code string `json:"code,omitempty"`

	// The IDs of the sign-in methods that are allowed for it. At least one.
	Signin []string `json:"signin,omitempty"`

	// The domains of the e-mail addresses that may sign in. Default: all of them.
	EmailDomains []string `json:"email_domains,omitempty"`
}

// ProductConfig is licensed software.
type ProductConfig struct {
	// The short code that requests name. Required.
	Code string `json:"code,omitempty"`

	// The ID of the client that its codes and tokens are issued to. Required.
	Client string `json:"client,omitempty"`

	// Where codes and tokens may go; the first is the default.
	// `http://localhost` without a port matches any. At least one.
	RedirectURIs []string `json:"redirect_uris,omitempty"`

	// The grants that it may ask for: `code`, `token`. Default: `code`.
	ResponseTypes []string `json:"response_types,omitempty"`

	// The codes of the customers that have it. At least one, unless there is
	// `customers_file`, whose customers say which products they have.
	CustomerAccounts []string `json:"customer_accounts,omitempty"`

	// How many live sessions a user may have for it. Default: any number.
	Seats int `json:"seats,omitempty"`

	// What happens beyond: `evict_oldest` ends the oldest session, `deny`
	// refuses the new one. Default: `evict_oldest`.
	WhenFull string `json:"when_full,omitempty"`

	// The backend that is told of each user's first sign-in.
	Provision *ProvisionConfig `json:"provision,omitempty"`
}

// ProvisionConfig is a backend that is told of first sign-ins.
type ProvisionConfig struct {
	// Its URL: https, or http on loopback. Required.
	URL string `json:"url,omitempty"`

	// What requests to it are signed with: at least 16 characters. Placeholders
	// are replaced. Required.
	Secret string `json:"secret,omitempty"`
}

// licensing is the License API of one configuration, ready to be used.
type licensing struct {
	licenses  *oauth.Licenses
	keys      map[string]licenseapi.APIKey
	signature *licenseapi.SignatureKey // nil: in the vault
}

const (
	evictOldestSession = "evict_oldest"
	denySession        = "deny"
)

// loadLicense checks the settings of the License API, after the clients and the
// sign-in methods are loaded.
func (a *App) loadLicense() error {
	if a.License == nil {
		return nil
	}
	made, err := a.License.provision(a)
	if err != nil {
		return fmt.Errorf("license: %w", err)
	}
	a.licensing = made
	return nil
}

func (l *LicenseConfig) provision(a *App) (licensing, error) {
	if l.ClockSkew < 0 || l.ClockSkew > caddy.Duration(24*time.Hour) {
		return licensing{}, errors.New("clock_skew: expected a time up to 24h")
	}
	made := licensing{}
	if l.CustomersFile != "" {
		a.customers = l.newCustomers(a)
		a.methods = append(a.methods, a.customers)
	}
	var err error
	if made.keys, err = apiKeys(l.APIKeys); err != nil {
		return licensing{}, err
	}
	if made.licenses, err = l.licenses(a); err != nil {
		return licensing{}, err
	}
	if l.SignatureKey != "" {
		made.signature = licenseapi.SignatureKeyFile(l.SignatureKey)
	}
	return made, nil
}

// newCustomers are the customers of the file.
func (l *LicenseConfig) newCustomers(a *App) *customers.File {
	accounts := make([]string, 0, len(l.CustomerAccounts))
	for _, c := range l.CustomerAccounts {
		accounts = append(accounts, c.Code)
	}
	return customers.NewCustomers(customers.Options{
		Path: l.CustomersFile, Log: a.log.Named("license"), Accounts: accounts,
		Methods: func() methods.List { return a.methods }, CheckMethod: a.checkShared,
		HasProduct: func(code string) bool { return a.licensing.licenses.HasProduct(code) },
		UseAvatar:  a.clients.UseAvatar(), ReadClaims: a.claims.readBy,
	})
}

func (l *LicenseConfig) licenses(a *App) (*oauth.Licenses, error) {
	accounts := make([]*oauth.CustomerAccount, 0, len(l.CustomerAccounts))
	for _, c := range l.CustomerAccounts {
		accounts = append(accounts, c.account())
	}
	products := make([]*oauth.Product, 0, len(l.Products))
	for _, p := range l.Products {
		client, _ := a.clients.Get(p.Client)
		product, err := p.product(client)
		if err != nil {
			return nil, fmt.Errorf("product %s: %w", p.Code, err)
		}
		products = append(products, product)
	}
	return oauth.NewLicenses(products, accounts, l.accountsOfFile(a.customers), l.DefaultResponseType)
}

// accountsOfFile returns the customers of the file, nil if there is no file. Before
// they are provisioned, the result only shows that there is a file.
func (l *LicenseConfig) accountsOfFile(c *customers.File) oauth.Accounts {
	if l.CustomersFile == "" {
		return nil
	}
	return c
}

func (c *CustomerAccountConfig) account() *oauth.CustomerAccount {
	return &oauth.CustomerAccount{Code: c.Code, Methods: c.Signin, EmailDomains: c.EmailDomains}
}

// product checks one product, without the other settings. client is nil if the
// product names none.
func (p *ProductConfig) product(client *oauth.Client) (*oauth.Product, error) {
	out := &oauth.Product{
		Code: p.Code, Client: client, ResponseTypes: p.ResponseTypes, Accounts: p.CustomerAccounts,
		Seats: oauth.Seats{Limit: p.Seats, Deny: p.WhenFull == denySession},
	}
	if len(out.ResponseTypes) == 0 {
		out.ResponseTypes = []string{oauth.LicenseCode}
	}
	if p.WhenFull != "" && (p.Seats == 0 || !slices.Contains([]string{evictOldestSession, denySession}, p.WhenFull)) {
		return nil, fmt.Errorf("when_full %q: expected evict_oldest or deny, together with seats", p.WhenFull)
	}
	for _, raw := range p.RedirectURIs {
		r, err := oauth.ParseRedirectURI(raw)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out.RedirectURIs, func(o oauth.RedirectURI) bool { return o.Raw == raw }) {
			return nil, fmt.Errorf("duplicate redirect_uri %q; remove one of the two", raw)
		}
		out.RedirectURIs = append(out.RedirectURIs, r)
	}
	if p.Provision == nil {
		return out, nil
	}
	secret, err := secrets.Read(p.Provision.Secret)
	if err != nil {
		return nil, fmt.Errorf("provision: secret: %w", err)
	}
	provisioner, err := licenseapi.NewProvisioner(p.Provision.URL, secret, wallclock.Now)
	if err != nil {
		return nil, fmt.Errorf("provision: %w", err)
	}
	out.Provision = provisioner
	return out, nil
}

func apiKeys(list []*APIKeyConfig) (map[string]licenseapi.APIKey, error) {
	known := make(map[string]licenseapi.APIKey, len(list))
	for i, k := range list {
		if k == nil {
			return nil, fmt.Errorf("api_keys: entry %d is null", i)
		}
		key, err := secrets.Read(k.Key)
		if err != nil {
			return nil, fmt.Errorf("api_key: %w", err)
		}
		shared, err := secrets.Read(k.SharedKey)
		if err != nil {
			return nil, fmt.Errorf("api_key: shared key: %w", err)
		}
		if err := checkAPIKey(key, shared); err != nil {
			return nil, fmt.Errorf("api_key: %w", err)
		}
		if _, twice := known[key]; twice {
			return nil, errors.New("api_key: duplicate key; remove one of the two lines")
		}
		known[key] = licenseapi.APIKey{Shared: licenseapi.NewSharedKey(shared), Revoked: k.Revoked, ReadOnly: k.ReadOnly}
	}
	return known, nil
}

// minSharedKey is half the length of the hosted API's shared keys.
const minSharedKey = 20

// checkAPIKey returns an error without the key, since its placeholders may have been
// replaced.
func checkAPIKey(key, shared string) error {
	if key == "" || len(key) > 256 || !oauth.CleanText(key) || strings.ContainsAny(key, `"\`) {
		return errors.New("the key is empty, longer than 256 characters, or has characters that a header cannot have")
	}
	if len(shared) < minSharedKey {
		return errors.New("the shared key is shorter than 20 characters; make one with: openssl rand -base64 30")
	}
	return nil
}

// newLicenseAPI returns the License API and its signature key, if it is configured.
func (a *App) newLicenseAPI(server *oauth.Server, vault keys.Vault) (*licenseapi.API, *licenseapi.SignatureKey) {
	if a.License == nil {
		return nil, nil
	}
	signature := a.licensing.signature
	if signature == nil {
		signature = licenseapi.SignatureKeyVault(vault)
	}
	return &licenseapi.API{
		Server: server, Keys: a.licensing.keys, BearerClients: a.License.BearerClients,
		ClockSkew: time.Duration(a.License.ClockSkew), OpenIDConfiguration: a.License.OpenIDConfiguration,
		Sign: signature.Sign, PublicKey: signature.Public,
		Now: wallclock.Now, Log: a.log.Named("license"),
	}, signature
}

// startLicense reads the signature key, so that an error in it shows at once.
func (a *App) startLicense(ctx context.Context, c *appruntime.Runtime) error {
	if c.License == nil {
		return nil
	}
	err := c.Signature.Load(ctx)
	if errors.Is(err, storage.ErrUnavailable) {
		a.log.Warn("the storage does not answer yet; licenses can be activated once it does", zap.Error(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("license: %w", err)
	}
	return nil
}
