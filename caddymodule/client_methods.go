package caddymodule

import (
	"fmt"
	"slices"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/customers"
	"github.com/caddy-sso/caddy-sso/signin"
)

// noMethodID is the ID of no sign-in method: a list with only this ID allows none.
const noMethodID = "-"

// loadClientMethods sets the allowed sign-in methods of each client: those that it names,
// otherwise all but the customers' own.
func (a *App) loadClientMethods() {
	common := a.commonMethods()
	for _, c := range a.Clients {
		client, _ := a.clients.Get(c.ID)
		client.Methods = c.Signin
		if len(c.Signin) == 0 {
			client.Methods = common
		}
	}
}

// commonMethods returns the sign-in methods that are allowed for every client, and
// for sign-ins without a client; nil: all. They do not include the providers of
// customer accounts. Each customer decides who its users are, and these may use only
// the customer's products. And the sign-in page must not show who the customers are.
func (a *App) commonMethods() []string {
	var common []string
	for _, w := range a.methods {
		if _, changing := w.(signin.DynamicMethods); changing {
			continue // the customers' own
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

// isCustomers reports whether a sign-in method is one of a customer account's.
func (l *LicenseConfig) isCustomers(id string) bool {
	return l != nil && slices.ContainsFunc(l.CustomerAccounts, func(c *CustomerAccountConfig) bool { return slices.Contains(c.Signin, id) })
}

// checkShared reports whether a customer of the file may sign in with a method of the
// Caddyfile. A provider there is allowed for every client, unless it belongs to a
// customer account already: its users could use more than the customer's products.
func (a *App) checkShared(id string) error {
	i := slices.IndexFunc(a.methods, func(w signin.Method) bool { return w.ID() == id && id != customers.ID })
	if i < 0 {
		return errUnknownMethod(id)
	}
	if _, outside := a.methods[i].(signin.ProviderMethod); outside && !a.License.isCustomers(id) {
		return fmt.Errorf("signin %q is a provider of the Caddyfile that is allowed for every client; put it into providers of this line instead", id)
	}
	return nil
}
