package caddymodule

import (
	"fmt"
	"slices"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/customers"
	"github.com/caddy-sso/caddy-sso/signin"
)

// noMethods is the ID of no sign-in method.
const noMethodID = "-"

// loadClientMethods says for each client which sign-in methods count: those that it
// names, or else all but the customers' own.
func (a *App) loadClientMethods() error {
	common := a.commonMethods()
	for _, c := range a.Clients {
		for _, id := range c.Signin {
			if !a.hasMethod(id) {
				return fmt.Errorf("client %s: %w", c.ID, errUnknownMethod(id))
			}
		}
		client, _ := a.clients.Get(c.ID)
		client.Methods = c.Signin
		if len(c.Signin) == 0 {
			client.Methods = common
		}
	}
	return nil
}

// commonMethods are the ways that count for every client, and where no client asked;
// nil: all do. The outside providers of customer accounts are left out: a customer
// decides who is in theirs, and these people are to get at the customer's products
// alone. Nor is it anybody's business who the customers are.
func (a *App) commonMethods() []string {
	var common []string
	for _, w := range a.methods {
		if _, changing := w.(signin.DynamicMethods); changing {
			continue // customers' own
		}
		if _, outside := w.(signin.ProviderMethod); !outside || !a.License.isCustomers(w.ID()) {
			common = append(common, w.ID())
		}
	}
	switch len(common) {
	case len(a.methods):
		return nil
	case 0:
		return []string{noMethodID}
	}
	return common
}

// isCustomers says whether a sign-in method is one of a customer account's.
func (l *LicenseConfig) isCustomers(id string) bool {
	return l != nil && slices.ContainsFunc(l.CustomerAccounts, func(c *CustomerAccountConfig) bool { return slices.Contains(c.Signin, id) })
}

// checkShared says whether a customer of the file may sign in by a way of the
// Caddyfile. An outside provider there counts for every client, unless it is a
// customer's already: its users would get at more than the customer's products.
func (a *App) checkShared(id string) error {
	i := slices.IndexFunc(a.methods, func(w signin.Method) bool { return w.ID() == id && id != customers.ID })
	if i < 0 {
		return errUnknownMethod(id)
	}
	if _, outside := a.methods[i].(signin.ProviderMethod); outside && !a.License.isCustomers(id) {
		return fmt.Errorf("signin %q is a provider of the Caddyfile that counts for every client; put it into providers of this line instead", id)
	}
	return nil
}
