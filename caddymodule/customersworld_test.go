package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// followed has products whose customers are in a file, but for one.
const followed = `client 2 {
			public
			redirect_uri https://app.example/sso
			token_alg ES256
		}
		client 3 {
			secret hunter2hunter2hunter2
			redirect_uri https://back.example/
			audience 3 2
			token_alg ES256
		}
		signin trusted shared-page {
			url https://shared.example/sign-in
			secret sixteen-letters-or-more
		}
		license {
			api_key key ` + licenseShared + `
			customers DIR/customers.jsonl
			customer_account fixed {
				signin local
			}
			product demo {
				client 2
				redirect_uri https://app.example/sso
				response_type code token
				customer_account fixed
			}
			product tool {
				client 2
				redirect_uri https://app.example/sso
				provision https://127.0.0.1:1/never "a secret of some length"
			}
		}`

// customersWorld is a world whose customers are in a file.
type customersWorld struct {
	*world
	path   string
	vendor *vendor
	gate   string // before the vendor's backend
	app    *visitor
}

// customersOf runs Caddy with a file of customers.
func customersOf(t *testing.T, lines ...string) *customersWorld {
	t.Helper()
	w := newWorld(t)
	c := &customersWorld{world: w, path: filepath.Join(w.dir, "customers.jsonl"), vendor: newVendor(t), gate: freeAddr(t), app: w.visitor()}
	c.write(append(lines, "\n")...)
	w.mustLoad(c.setup())
	return c
}

func (c *customersWorld) setup() setup {
	return setup{global: followed, sites: "http://" + c.gate + ` {
		sso_gate {
			license_activation
		}
		reverse_proxy ` + strings.TrimPrefix(c.vendor.URL, "http://") + "\n}\n"}.withLog()
}

// write replaces the file, as an editor does.
func (c *customersWorld) write(lines ...string) {
	c.t.Helper()
	if err := os.WriteFile(c.path+".tmp", []byte(strings.Join(lines, "")), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(c.path+".tmp", c.path); err != nil {
		c.t.Fatal(err)
	}
}

// customerAt is the line of a customer who has a provider.
func customerAt(code, id string, provider *httptest.Server, more string) string {
	return fmt.Sprintf(`{"code":%q,"products":["demo"],"providers":[{"id":%q,"name":"Sign-in of %s","issuer":%q,"client_id":"sso","client_secret":"hunter2"}]%s}`+"\n",
		code, id, code, provider.URL, more)
}

// sso asks for a link of a customer.
func (c *customersWorld) sso(customer, grant string) answered {
	c.t.Helper()
	return c.app.signed("http://" + c.portal + "/api/v4/sso_url?product=demo&customer_account_code=" + customer + "&response_type=" + grant)
}

func (c *customersWorld) has(customer string) bool {
	c.t.Helper()
	return c.sso(customer, "code").StatusCode == http.StatusOK
}

// eventuallyHas waits until there is such a customer, or none.
func (c *customersWorld) eventuallyHas(customer string, there bool) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("customer %s is there: %v", customer, there), func() bool { return c.has(customer) == there })
}

// towards follows a link up to a host, or to a page.
func (v *visitor) towards(link, host string) (at *url.URL, page answered) {
	v.t.Helper()
	v.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == host {
			at = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { v.CheckRedirect = nil }()
	page = v.get(link)
	if onward := refresh.FindStringSubmatch(page.body); onward != nil && at == nil {
		page = v.get(v.resolve(page, onward[1]))
	}
	return at, page
}

// arriveBy signs in at a customer's provider, and returns where the browser is sent.
func (c *customersWorld) arriveBy(v *visitor, customer, grant string) *url.URL {
	c.t.Helper()
	at, page := v.towards(c.sso(customer, grant).link(c.t), "app.example")
	if at == nil {
		c.t.Fatalf("nobody was sent to the application: %s at %s: %s", page.Status, page.Request.URL, page.body)
	}
	return at
}

// activate sends a credential to the gate: a member of the body, and its value.
func (c *customersWorld) activate(customer, name, value string) answered {
	c.t.Helper()
	return c.app.post("http://"+c.gate+"/api/v4/activate_license", fmt.Sprintf(`{"product":"demo","customer_account_code":%q,%q:%q}`, customer, name, value))
}

// tokenOf is the access token of a token grant.
func tokenOf(t *testing.T, at *url.URL) string {
	t.Helper()
	fragment, err := url.ParseQuery(at.Fragment)
	if err != nil || fragment.Get("access_token") == "" {
		t.Fatalf("the browser is sent to %s", at)
	}
	return fragment.Get("access_token")
}

// introspected is what a client of its own learns of a token.
func (c *customersWorld) introspected(token string) string {
	c.t.Helper()
	r := c.app.request(http.MethodPost, "http://"+c.portal+"/oauth2/introspect", url.Values{"token": {token}}.Encode())
	r.SetBasicAuth("3", "hunter2hunter2hunter2")
	return c.app.send(r).body
}

// annOfAcme is who signs in at a customer's provider.
var annOfAcme = map[string]any{"preferred_username": "ann", "email": "ann@acme.example", "email_verified": true}
