package harness

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/licenseclient"
)

// The API key of a [License].
const (
	APIKey    = "7f1c2a54-key-of-these-tests"
	SharedKey = "kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja"
)

// A License is the License API in a configuration: client 10, product demo of
// the customer account other, whose users are local, and a gate before a license
// backend. Tests change its fields before they render the configuration.
type License struct {
	Gate, GateSite string // origin, and site address where that differs
	Backend        *LicenseBackend

	// Lines are further lines of the license option, Product of product demo.
	Lines, Product string

	// Accounts are the customer accounts of product demo, beside other.
	Accounts []string

	// Client is the block of client 10, which the product's codes are for.
	Client string
}

// LicenseUser is someone of the local accounts whose e-mail address is of
// another domain than everybody else's.
var LicenseUser = User{Name: "zoe", Password: "paper lantern", Email: "zoe@acme.example", Groups: []string{"licensees"}}

// WithLicense adds a License API to a configuration. What [License.Apply] adds
// is what its fields say then.
func WithLicense(tb testing.TB) *License {
	tb.Helper()
	return &License{
		Gate:    fmt.Sprintf("http://localhost:%d", Port(tb)),
		Backend: NewLicenseBackend(tb),
		Client:  "name \"Demo CAD\"\npublic\nredirect_uri http://127.0.0.1/callback\naudience cad",
	}
}

// Apply adds it to a configuration, once.
func (l *License) Apply(c *Caddyfile) {
	if len(c.Users) == 2 {
		c.Users = append(c.Users, LicenseUser)
	}
	c.Clients = append(c.Clients, Application{ID: "10", Lines: l.Client})
	c.Options += fmt.Sprintf(`
license {
	api_key %s %s
	customer_account other {
		signin local
	}
	product demo {
		client 10
		redirect_uri http://localhost
		response_type code token
		customer_account other %s
		%s
	}
	%s
}
`, APIKey, SharedKey, strings.Join(l.Accounts, " "), l.Product, l.Lines)
	site := l.GateSite
	if site == "" {
		site = l.Gate
	}
	c.Sites += fmt.Sprintf("%s {\n\timport filtered_log\n\tsso_gate {\n\t\tlicense_activation\n\t}\n\treverse_proxy %s\n}\n", site, l.Backend.Addr)
}

// App is licensed software that is configured as its vendor does it.
func (l *License) App(portal string, h *http.Client) *licenseclient.Client {
	return &licenseclient.Client{
		API: portal, Backend: l.Gate, APIKey: APIKey, SharedKey: SharedKey,
		Product: "demo", Account: "other", Hardware: "00:11:22:33:44:55", HTTP: h,
	}
}
