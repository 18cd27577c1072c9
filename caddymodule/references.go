package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// Names in one setting that another setting defines are checked here, by the same
// functions while a Caddyfile is read and in Provision. The first has the lines, the
// second has the modules.

// A settingError is about one option, of which a Caddyfile knows the line.
type settingError struct {
	option string // as in optionLines
	err    error
}

func (e *settingError) Error() string { return e.err.Error() }
func (e *settingError) Unwrap() error { return e.err }

// optionLines has the places of options, until a block is completely read. Its keys
// are those in a settingError about the option; the key of the whole block is empty.
type optionLines map[string]caddyfile.Dispenser

func (l optionLines) mark(d *caddyfile.Dispenser, option string) { l[option] = *d }

// markEach is mark for an option that may have several values.
func (l optionLines) markEach(d *caddyfile.Dispenser, option string, values []string) {
	for _, value := range values {
		l.mark(d, option+" "+value)
	}
}

// addLine adds its line to an error, if it is one.
func (l optionLines) addLine(err error) error {
	if err == nil {
		return nil
	}
	option := ""
	if at := new(settingError); errors.As(err, &at) {
		option = at.option
	}
	line, known := l[option]
	if !known {
		if line, known = l[""]; !known {
			return err
		}
	}
	return line.WrapErr(err)
}

// checkReferences checks the names in the settings of the app. hasMethod reports
// whether there is a sign-in method with an ID.
func (a *App) checkReferences(hasMethod func(id string) bool) error {
	for _, c := range a.Clients {
		for _, id := range c.Signin {
			if !hasMethod(id) {
				return &settingError{"client " + c.ID + " signin " + id, fmt.Errorf("client %s: %w", c.ID, errUnknownMethod(id))}
			}
		}
	}
	if a.License == nil {
		return nil
	}
	for _, id := range a.License.BearerClients {
		if err := checkBearerClient(a.client(id)); err != nil {
			return &settingError{"bearer_client " + id, fmt.Errorf("license: bearer_client %s: %w", id, err)}
		}
	}
	for i, c := range a.License.CustomerAccounts {
		if c == nil {
			return fmt.Errorf("license: customer_accounts: entry %d is null", i)
		}
		for _, id := range c.Signin {
			if !hasMethod(id) {
				return &settingError{"customer_account " + c.Code + " signin " + id, fmt.Errorf("license: customer_account %s: %w", c.Code, errUnknownMethod(id))}
			}
		}
	}
	return a.License.checkProducts(a)
}

// checkProducts checks the names in the products, and each product itself.
func (l *LicenseConfig) checkProducts(a *App) error {
	for i, p := range l.Products {
		if p == nil {
			return fmt.Errorf("license: products: entry %d is null", i)
		}
		product := "product " + p.Code
		if p.Client != "" && a.client(p.Client) == nil {
			return &settingError{product + " client", fmt.Errorf("license: %s: %w", product, errUnknownClient(p.Client))}
		}
		for _, code := range p.CustomerAccounts {
			if l.account(code) == nil {
				return &settingError{product + " customer_account " + code, fmt.Errorf("license: %s: %w", product, l.errUnknownAccount(code))}
			}
		}
		if err := p.checkAlone(l.accountsOfFile(nil)); err != nil {
			return &settingError{product, fmt.Errorf("license: %w", err)}
		}
	}
	if err := l.checkDefaultResponseType(); err != nil {
		return &settingError{"default_response_type", fmt.Errorf("license: %w", err)}
	}
	return nil
}

func (l *LicenseConfig) checkDefaultResponseType() error {
	if l.DefaultResponseType == "" {
		return nil
	}
	lists := make([][]string, 0, len(l.Products))
	for _, p := range l.Products {
		lists = append(lists, p.ResponseTypes)
	}
	return oauth.CheckDefaultResponseType(l.DefaultResponseType, lists...)
}

// mayHaveMethod reports whether the settings have a sign-in method with an ID, or may
// have one: the ID of a module of another project is known only after Provision.
func (a *App) mayHaveMethod(id string) bool {
	return slices.ContainsFunc(a.SigninRaw, func(raw json.RawMessage) bool {
		var method struct {
			Method string `json:"method"`
			ID     string `json:"id"`
		}
		err := json.Unmarshal(raw, &method)
		return err != nil || !slices.Contains(signinmethods.Names, method.Method) || id == cmp.Or(method.ID, method.Method)
	})
}

func (a *App) hasMethod(id string) bool {
	for _, method := range a.methods {
		if method.ID() == id {
			return true
		}
	}
	return false
}

// checkBearerClient checks a client whose own tokens the License API accepts.
func checkBearerClient(c *ClientConfig) error {
	if c == nil {
		return errors.New("is unknown; add the client to the sso option, or name one of its clients")
	}
	if c.Public {
		return errors.New("is public, and gets no token of its own; name a client with a secret")
	}
	return nil
}

// gateReferences are what the names in a gate may refer to.
type gateReferences struct {
	client    func(id string) (*oauth.Client, bool) // finds a client of the app
	hasMethod func(id string) bool                  // finds a sign-in method
	groups    *oauth.ConfiguredGroups               // those of all users and of the gates before
	license   bool                                  // the app has the License API
}

// checkReferences checks the names in a gate.
func (g *Gate) checkReferences(known gateReferences) (*oauth.Client, error) {
	if g.LicenseActivation {
		if err := g.checkLicense(); err != nil {
			return nil, err
		}
		if !known.license {
			return nil, errNoLicense
		}
		return nil, nil
	}
	if g.Client == "" {
		return nil, errNoClient
	}
	client, found := known.client(g.Client)
	if !found {
		return nil, &settingError{"client", errUnknownClient(g.Client)}
	}
	if client.AsksConsent() {
		return nil, &settingError{"client", errAsksConsent(client)}
	}
	if g.FailAuthURL != "" && !client.FailAuthURL(g.FailAuthURL) {
		return nil, &settingError{"fail_auth_url", errUnregistered(g.FailAuthURL, g.Client)}
	}
	if err := g.checkBearer(known.client); err != nil {
		return nil, &settingError{"bearer", err}
	}
	for _, name := range g.Require {
		if err := known.groups.Add(name, "require group of the gate of client "+g.Client); err != nil {
			return nil, &settingError{"require " + name, err}
		}
	}
	if err := g.checkRules(known, client); err != nil {
		return nil, err
	}
	return client, nil
}

var errNoClient = errors.New("sso_gate: client is missing; name one of those of the sso option, such as: client 1")

var errNoLicense = errors.New("license_activation: the sso option has no license, which says who may activate what; add: license { … }")

func errUnknownClient(id string) error {
	return fmt.Errorf("client %q is unknown; add it to the sso option, or name one of its clients", id)
}

func errUnknownMethod(id string) error {
	return fmt.Errorf("signin %q is unknown; add it to the sso option, or name one of its sign-in methods", id)
}

func (l *LicenseConfig) errUnknownAccount(code string) error {
	err := fmt.Errorf("customer_account %s is not defined; add: customer_account %s { … }", code, code)
	if l.CustomersFile != "" {
		err = fmt.Errorf("%w; for a customer in the file of customers, name the product on its line there", err)
	}
	return err
}

func errAsksConsent(c *oauth.Client) error {
	return fmt.Errorf("client %q has consent %s, but a gate never asks for consent, since the site is your own; remove consent from the client, or name another client in the gate", c.ID, c.Consent)
}

func errUnregistered(failAuthURL, client string) error {
	return fmt.Errorf("fail_auth_url %q is not registered for client %s; add it to the client, too", failAuthURL, client)
}
