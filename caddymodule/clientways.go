package caddymodule

import (
	"fmt"
	"slices"

	"github.com/caddy-sso/caddy-sso/signin"
)

// nobody is the ID of no way to sign in.
const nobody = "-"

// loadClientWays says for each client which ways to sign in count: those that it
// names, or else all but the customers' own.
func (a *App) loadClientWays() error {
	common := a.commonWays()
	for _, c := range a.Clients {
		for _, id := range c.Signin {
			if !a.hasWay(id) {
				return fmt.Errorf("client %s: %w", c.ID, unknownWay(id))
			}
		}
		client, _ := a.clients.Get(c.ID)
		client.Ways = c.Signin
		if len(c.Signin) == 0 {
			client.Ways = common
		}
	}
	return nil
}

// commonWays are the ways that count for every client, and where no client asked;
// nil: all do. The outside providers of customer accounts are left out: a customer
// decides who is in theirs, and these people are to get at the customer's products
// alone. Nor is it anybody's business who the customers are.
func (a *App) commonWays() []string {
	var common []string
	for _, w := range a.ways {
		if _, changing := w.(signin.Changing); changing {
			continue // customers' own
		}
		if _, outside := w.(signin.Redirecting); !outside || !a.License.isCustomers(w.ID()) {
			common = append(common, w.ID())
		}
	}
	switch len(common) {
	case len(a.ways):
		return nil
	case 0:
		return []string{nobody}
	}
	return common
}

// isCustomers says whether a way to sign in is one of a customer account's.
func (l *LicenseConfig) isCustomers(id string) bool {
	return l != nil && slices.ContainsFunc(l.CustomerAccounts, func(c *CustomerAccountConfig) bool { return slices.Contains(c.Signin, id) })
}
