package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// A Product is licensed software in the License API.
type Product struct {
	Code string // its short code

	// Client is the application that gets codes and tokens. A public one needs no
	// PKCE here, since only a link of the License API leads to a code, and only an
	// activation redeems it.
	Client *Client

	// RedirectURIs are the redirect URIs. The first is the default.
	RedirectURIs []RedirectURI

	// ResponseTypes are "code" and "token", or one of them.
	ResponseTypes []string

	// Accounts are the configured customer accounts with this product. Dynamic
	// accounts name their products themselves.
	Accounts []string

	Seats Seats

	// Provision is notified of each user's first sign-in. Nil: no notification.
	Provision Provisioner
}

// Seats limit the live sessions of one user for a product. The zero value: no limit.
type Seats struct {
	Limit int

	// Deny refuses one session more. Otherwise the oldest session ends.
	Deny bool
}

// A CustomerAccount is a customer whose own provider signs its users in.
type CustomerAccount struct {
	Code string

	// Methods are the IDs of its allowed sign-in methods.
	Methods []string

	// EmailDomains are the allowed domains of e-mail addresses. Empty: all users.
	EmailDomains []string

	// Products are the codes of its products, beside the products that name it.
	Products []string
}

// Accounts are dynamic customer accounts, which change while the configuration stays.
type Accounts interface {
	// Account returns the account with a code; nil if there is none now.
	Account(code string) *CustomerAccount
}

// The response types of the License API.
const (
	LicenseCode  = "code"
	LicenseToken = "token"
)

// Licenses are the products and customer accounts. It is immutable.
type Licenses struct {
	products map[string]*Product
	accounts map[string]*CustomerAccount
	dynamic  Accounts // nil: there are no dynamic accounts

	// defaultType is the default response type, for a product that has both.
	defaultType string
}

// NewLicenses refuses what cannot work; its error has the remedy. dynamic
// are the dynamic accounts; nil: there are none. defaultType is the default response type;
// empty: code.
func NewLicenses(products []*Product, accounts []*CustomerAccount, dynamic Accounts, defaultType string) (*Licenses, error) {
	l := &Licenses{
		products: map[string]*Product{}, accounts: map[string]*CustomerAccount{}, dynamic: dynamic, defaultType: cmp.Or(defaultType, LicenseCode),
	}
	if err := checkResponseType(l.defaultType); err != nil {
		return nil, fmt.Errorf("default_response_type: %w", err)
	}
	for _, a := range accounts {
		if err := a.Validate(); err != nil {
			return nil, fmt.Errorf("customer_account %s: %w", a.Code, err)
		}
		if l.accounts[a.Code] != nil {
			return nil, fmt.Errorf("customer_account %s: defined twice", a.Code)
		}
		l.accounts[a.Code] = a
	}
	for _, p := range products {
		if err := l.validate(p); err != nil {
			return nil, fmt.Errorf("product %s: %w", p.Code, err)
		}
		if l.products[p.Code] != nil {
			return nil, fmt.Errorf("product %s: defined twice", p.Code)
		}
		l.products[p.Code] = p
	}
	lists := make([][]string, 0, len(products))
	for _, p := range products {
		lists = append(lists, p.ResponseTypes)
	}
	return l, CheckDefaultResponseType(defaultType, lists...)
}

// CheckDefaultResponseType refuses a default that no product has. An empty list of a
// product means code.
func CheckDefaultResponseType(defaultType string, products ...[]string) error {
	has := func(types []string) bool {
		return slices.Contains(types, defaultType) || len(types) == 0 && defaultType == LicenseCode
	}
	if defaultType == "" || len(products) == 0 || slices.ContainsFunc(products, has) {
		return nil
	}
	return fmt.Errorf("default_response_type %q: no product has this response_type, so it can never be used; add response_type %s to a product, or remove default_response_type", defaultType, defaultType)
}

// responseType is the response type of a request for a product: the requested one,
// the default, or, if the product does not have that, the only one that it has.
func (l *Licenses) responseType(p *Product, asked string) (string, bool) {
	switch {
	case asked != "":
		return asked, slices.Contains(p.ResponseTypes, asked)
	case slices.Contains(p.ResponseTypes, l.defaultType):
		return l.defaultType, true
	}
	return p.ResponseTypes[0], true
}

// Validate checks an account by itself.
func (a *CustomerAccount) Validate() error {
	if !validLicenseName(a.Code) {
		return errors.New("expected a short code without spaces, such as acme")
	}
	if len(a.Methods) == 0 {
		return errors.New("has no signin; add the ID of a sign-in method, such as: signin acme-azure")
	}
	for _, d := range a.EmailDomains {
		if d == "" || d != strings.ToLower(d) || strings.ContainsAny(d, "@ *") || !strings.Contains(d, ".") {
			return fmt.Errorf("email_domain %q is no domain such as acme.example", d)
		}
	}
	return nil
}

func (l *Licenses) validate(p *Product) error {
	switch {
	case !validLicenseName(p.Code):
		return errors.New("expected a short code without spaces, such as demo")
	case p.Client == nil:
		return errors.New("has no client; add the ID of the client that its codes are for, such as: client 2")
	case len(p.RedirectURIs) == 0:
		return errors.New("has no redirect_uri; add the URL that codes are sent to")
	case len(p.Accounts) == 0 && l.dynamic == nil:
		return errors.New("has no customer_account; add the accounts that have it")
	case p.Seats.Limit < 0:
		return errors.New("seats cannot be negative")
	case len(p.ResponseTypes) == 0:
		return errors.New("has no response_type; expected code, token or both")
	}
	for _, t := range p.ResponseTypes {
		if err := checkResponseType(t); err != nil {
			return fmt.Errorf("response_type: %w", err)
		}
	}
	for _, code := range p.Accounts {
		if l.accounts[code] == nil {
			return fmt.Errorf("customer_account %s is not defined; add: customer_account %s { … }", code, code)
		}
	}
	return nil
}

func checkResponseType(t string) error {
	if t != LicenseCode && t != LicenseToken {
		return fmt.Errorf("%q is unknown; expected code or token", t)
	}
	return nil
}

func validLicenseName(s string) bool {
	return s != "" && len(s) <= 128 && isASCIIText(s) && !strings.ContainsAny(s, " \"\\")
}

// find returns a product and one of its customer accounts.
func (l *Licenses) find(product, account string) (*Product, *CustomerAccount, *Error) {
	var p *Product
	if l != nil {
		p = l.products[product]
	}
	if p == nil {
		return nil, nil, &Error{Kind: UnknownProduct, Description: "Provided product was not found"}
	}
	a := l.account(account)
	if a == nil || !slices.Contains(p.Accounts, account) && !slices.Contains(a.Products, product) {
		return nil, nil, &Error{Kind: UnknownAccount, Description: "Provided customer account was not found, or has no SSO"}
	}
	return p, a, nil
}

// account returns the account with a code; nil if there is none now.
func (l *Licenses) account(code string) *CustomerAccount {
	if a := l.accounts[code]; a != nil || l.dynamic == nil {
		return a
	}
	return l.dynamic.Account(code)
}

// HasProduct reports whether there is a product with a code.
func (l *Licenses) HasProduct(code string) bool { return l != nil && l.products[code] != nil }

// accepts reports whether a user may now use a product of a customer account, both
// given by their codes.
func (l *Licenses) accepts(product, account string, u session.User) bool {
	_, a, refusal := l.find(product, account)
	return refusal == nil && a.accepts(u)
}

// accepts reports whether the account accepts how a user signed in.
func (a *CustomerAccount) accepts(u session.User) bool {
	return (&Authorization{Methods: a.Methods, EmailDomains: a.EmailDomains}).AcceptsUser(u)
}

// redirectURI returns the registration of a requested URI, or the first one without a
// requested URI.
func (p *Product) redirectURI(requested string) (RedirectURI, string, bool) {
	if requested == "" {
		return p.RedirectURIs[0], p.RedirectURIs[0].Raw, true
	}
	for _, r := range p.RedirectURIs {
		if r.Matches(requested) {
			return r, requested, true
		}
	}
	return RedirectURI{}, "", false
}

func (p *Product) unregisteredURI(requested string) *Error {
	e := InvalidParam("redirect_uri", "is not registered for this product.")
	e.Client, e.Params[0].Value = p.Client, requested
	for _, r := range p.RedirectURIs {
		e.Params[0].Registered = append(e.Params[0].Registered, r.Raw)
	}
	return e
}

// A LicenseRequest is the request of a link of the License API.
type LicenseRequest struct {
	ID      string // single use
	Product *Product
	Account *CustomerAccount
	Expires time.Time
}

func (r *LicenseRequest) product() string {
	if r == nil {
		return ""
	}
	return r.Product.Code
}

func (r *LicenseRequest) account() string {
	if r == nil {
		return ""
	}
	return r.Account.Code
}

func clientDisabled() *Error {
	return &Error{Kind: ClientDisabled, Description: "This application is disabled."}
}
