package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"
)

// rightLicense is a configuration that the cases below spoil.
const rightLicense = `{
	storage file_system DIR
	sso {
		issuer https://login.example
		storage memory
		license {
			clock_skew 10m
			api_key key kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja
			bearer_client 3
			customer_account acme {
				signin local
			}
			product demo {
				client 2
				redirect_uri http://localhost
				response_type code
				customer_account acme
				seats 2 deny
				provision https://back.example/users 0123456789abcdef
			}
		}
		signin local {
			user demo HASH
		}
		client 2 {
			public
			redirect_uri https://app.example/sso
		}
		client 3 {
			secret s3cr3ts3cr3ts3cr3t
			redirect_uri https://back.example/
		}
	}
}
https://login.example {
	sso_portal
}
https://licenses.example {
	sso_gate {
		license_activation
	}
	respond ok
}
`

func spoilLicense(t *testing.T, old, spoiled string) string {
	t.Helper()
	if old != "" && strings.Count(rightLicense, old) != 1 {
		t.Fatalf("%q is %d times in the right configuration", old, strings.Count(rightLicense, old))
	}
	return strings.NewReplacer("DIR", t.TempDir(), "HASH", demoHash).Replace(strings.Replace(rightLicense, old, spoiled, 1))
}

func TestTheRightLicenseIsTaken(t *testing.T) {
	for name, spoiled := range map[string][2]string{
		"as it is":                              {"", ""},
		"no seats":                              {"seats 2 deny", ""},
		"seats alone":                           {"seats 2 deny", "seats 1"},
		"evict_oldest":                          {"seats 2 deny", "seats 3 evict_oldest"},
		"no provision":                          {"provision https://back.example/users 0123456789abcdef", ""},
		"no response type":                      {"response_type code", ""},
		"a default that the product leaves out": {"clock_skew 10m", "default_response_type code"},
		"a default that one product alone has":  {"product demo {", "default_response_type token\nproduct cad {\nclient 2\nredirect_uri http://localhost\nresponse_type token\ncustomer_account acme\n}\nproduct demo {"},
		"two gates":                             {"https://licenses.example {\n", "https://licenses.example, https://app.example {\nsso_gate /x* {\nclient 2\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := adapt(spoilLicense(t, spoiled[0], spoiled[1]))
			if err == nil {
				err = validate(config)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// It answers no callback and reads no cookie of ours, so it may stand anywhere.
func TestALicenseGateMayStandBesideOthers(t *testing.T) {
	for name, c := range map[string]struct{ spoiled, sites string }{
		"beside a gate for browsers":      {"", "https://app.example {\nsso_gate {\nlicense_activation\n}\nsso_gate /app/* {\nclient 2\n}\nrespond ok\n}"},
		"on the portal, same_site none":   {"session {\nsame_site none\n}\n", "https://login.example {\nsso_portal\nsso_gate {\nlicense_activation\n}\n}"},
		"by the portal's name, elsewhere": {"session {\nsame_site none\n}\n", "https://login.example:444 {\nsso_gate {\nlicense_activation\n}\nrespond ok\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			option, _, _ := strings.Cut(spoilLicense(t, "storage memory\n", "storage memory\n"+c.spoiled), "https://login.example {")
			if err := refusedPlaces(t, option+c.sites); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAWrongLicenseIsRefusedOnItsLine(t *testing.T) {
	for _, c := range []struct {
		name         string
		old, spoiled string
		line         string // begins the line that the error names
		want         []string
	}{
		{"license twice", "signin local {\n", "license {\n}\nsignin local {\n", "license {\n}", []string{"duplicate option: license"}},
		{"an unknown option", "clock_skew 10m", "skew 10m", "skew", []string{`unknown option "skew"`, "api_key, bearer_client, clock_skew"}},
		{"a skew that is no time", "clock_skew 10m", "clock_skew much", "clock_skew", []string{"is not a duration"}},
		{"an unknown default", "clock_skew 10m", "default_response_type implicit", "default_response_type", []string{`"implicit" is unknown; expected code or token`}},
		{
			"a default that no product has", "clock_skew 10m", "default_response_type token", "default_response_type",
			[]string{`default_response_type "token": no product has this response_type`, "add response_type token to a product"},
		},
		{
			"a default beside products without a list", "clock_skew 10m\n\t\t\tapi_key key kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja", "default_response_type token\nproduct other {\nclient 2\nredirect_uri http://localhost\ncustomer_account acme\n}", "default_response_type",
			[]string{`no product has this response_type`},
		},
		{"a flag with an argument", "clock_skew 10m", "openid_configuration yes", "openid_configuration", []string{`unexpected "yes"`}},
		{"an api_key without a shared key", "api_key key kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja", "api_key key", "api_key", []string{"api_key <key> <shared key> [revoked | read_only]"}},
		{"a short shared key", "kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja", "short", "api_key", []string{"shorter than 20"}},
		{"an api_key with a quote", "api_key key", "api_key `k\"y`", "api_key", []string{"a header cannot have"}},
		{"an api_key that is something else", "QAeiKTQ6OuyMja", "QAeiKTQ6OuyMja disabled", "api_key", []string{`unexpected "disabled"; expected revoked or read_only`}},
		{"an api_key twice", "bearer_client 3", "api_key key kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja\nbearer_client 3", "api_key key kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja\nbearer", []string{"duplicate key"}},
		{"an unknown bearer_client", "bearer_client 3", "bearer_client 3 4", "bearer_client", []string{"bearer_client 4: is unknown; add the client to the sso option"}},
		{"a public bearer_client", "bearer_client 3", "bearer_client 2", "bearer_client", []string{"bearer_client 2: is public"}},

		{"an account without a code", "customer_account acme {", "customer_account {", "customer_account", []string{"short code"}},
		{"an account with a space", "customer_account acme {", `customer_account "a b" {`, "customer_account", []string{"short code without spaces"}},
		{"an account without a signin", "\t\t\t\tsignin local\n", "", "customer_account", []string{"has no signin", "signin acme-azure"}},
		{"an account with an unknown signin", "\t\t\t\tsignin local\n", "signin local okta\n", "signin local okta", []string{`signin "okta" is unknown; add it to the sso option`}},
		{"an account with a domain that is none", "\t\t\t\tsignin local\n", "signin local\nemail_domain @acme.example\n", "customer_account", []string{`"@acme.example" is no domain such as acme.example`}},
		{"an account twice", "product demo {", "customer_account acme {\nsignin local\n}\nproduct demo {", "customer_account acme {\nsignin", []string{"duplicate customer_account acme"}},

		{"a product without a code", "product demo {", "product {", "product", []string{"short code"}},
		{"a product twice", "product demo {", "product demo {\n}\nproduct demo {", "product demo {\nclient", []string{"duplicate product demo"}},
		{"a product without a client", "\t\t\t\tclient 2\n", "", "product", []string{"has no client", "client 2"}},
		{"a product with an unknown client", "\t\t\t\tclient 2\n", "client 4\n", "client 4", []string{`client "4" is unknown; add it to the sso option`}},
		{"a product without a redirect URI", "\t\t\t\tredirect_uri http://localhost\n", "", "product", []string{"has no redirect_uri"}},
		{"a product with a redirect URI over http", "redirect_uri http://localhost\n", "redirect_uri http://app.example\n", "redirect_uri", []string{"http is for loopback only"}},
		{"a product with a redirect URI twice", "redirect_uri http://localhost\n", "redirect_uri http://localhost\nredirect_uri http://localhost\n", "product", []string{"duplicate redirect_uri"}},
		{"a product with an unknown response type", "response_type code", "response_type code id_token", "response_type", []string{`"id_token" is unknown`}},
		{"a product without an account", "\t\t\t\tcustomer_account acme\n", "", "product", []string{"has no customer_account"}},
		{"a product with an unknown account", "\t\t\t\tcustomer_account acme\n", "customer_account acme evil\n", "customer_account acme evil", []string{"customer_account evil is not defined; add: customer_account evil"}},
		{"no number of seats", "seats 2 deny", "seats many", "seats", []string{`"many" is not a positive number`}},
		{"no seats at all", "seats 2 deny", "seats 0", "seats", []string{`"0" is not a positive number`}},
		{"an unknown policy of seats", "seats 2 deny", "seats 2 wait", "seats", []string{`unexpected "wait"; expected evict_oldest or deny`}},
		{"seats twice", "seats 2 deny", "seats 2 deny\nseats 3", "seats 3", []string{"duplicate option: seats"}},
		{"provision without a secret", " 0123456789abcdef", "", "provision", []string{"provision <url> <secret>"}},
		{"provision over http", "provision https://back.example/users", "provision http://back.example/users", "provision", []string{"expected https, or http on loopback"}},
		{"provision with a short secret", " 0123456789abcdef", " short", "provision", []string{"shorter than 16"}},
		{"provision twice", "seats 2 deny", "provision https://a.example 0123456789abcdeg", "provision https://back", []string{"duplicate option: provision"}},

		{"a gate with a client", "license_activation", "license_activation\nclient 2", "sso_gate", []string{"client has no effect beside it"}},
		{"a gate that drops forms", "license_activation", "license_activation\ndrop_forms", "sso_gate", []string{"drop_forms has no effect beside it"}},
		{"a gate with groups", "license_activation", "license_activation\nrequire group a", "sso_gate", []string{"require has no effect beside it"}},
		{"a gate with a popup", "license_activation", "license_activation\npopup", "sso_gate", []string{"popup has no effect beside it"}},
		{"a gate with a fail_auth_url", "license_activation", "license_activation\nfail_auth_url https://app.example/", "sso_gate", []string{"fail_auth_url has no effect beside it"}},
		{"a gate with a matcher", "sso_gate {", "sso_gate /api/* {", "sso_gate", []string{"a matcher has no effect beside it"}},
		{"a gate with an argument", "license_activation", "license_activation now", "license_activation", []string{`unexpected "now"`}},
		{"a gate with a bad prefix", "license_activation", "license_activation\nheader_prefix X", "header_prefix", []string{"header_prefix"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := spoilLicense(t, c.old, c.spoiled)
			_, err := adapt(file)
			if err == nil {
				t.Fatal("the adapter took it")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
			if !onLineThatBegins(file, c.line, err) {
				t.Errorf("the error is not on the line %q:\n%v", c.line, err)
			}
		})
	}
	_, err := adapt(spoil(t, "\t\tclient 1\n\t\theader_prefix X-SSO-\n", "license_activation\n"))
	if err == nil || !strings.Contains(err.Error(), "the sso option has no license") {
		t.Errorf("a gate without a license: %v", err)
	}
}

func TestAWrongLicenseInJSONIsRefused(t *testing.T) {
	type list = []any
	const (
		inLicense = "apps sso license"
		inAccount = "apps sso license customer_accounts 0"
		inProduct = "apps sso license products 0"
	)
	right, err := adapt(spoilLicense(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, in, field string
		value           any // nil: remove the field
		want            string
	}{
		{"an unknown field", inLicense, "keys", list{}, "unknown field"},
		{"a negative skew", inLicense, "clock_skew", -1, "clock_skew: expected a time up to 24h"},
		{"a skew of days", inLicense, "clock_skew", "48h", "clock_skew: expected a time up to 24h"},
		{"an unknown default", inLicense, "default_response_type", "x", `default_response_type "x": no product has this response_type`},
		{"a default that no product has", inLicense, "default_response_type", "token", `default_response_type "token": no product has this response_type`},
		{"an unknown bearer client", inLicense, "bearer_clients", list{"9"}, "bearer_client 9: is unknown"},
		{"a null key", inLicense, "api_keys", list{nil}, "api_keys: entry 0 is null"},
		{"a short shared key", inLicense, "api_keys", list{map[string]any{"key": "k", "shared_key": "s"}}, "api_key: the shared key is shorter than 20"},
		{"a shared key that is not set", inLicense, "api_keys", list{map[string]any{"key": "k", "shared_key": "{env.THERE_IS_NO_SUCH_VARIABLE}"}}, "api_key: shared key"},
		{"a null account", inLicense, "customer_accounts", list{nil}, "customer_accounts: entry 0 is null"},
		{"a null product", inLicense, "products", list{nil}, "products: entry 0 is null"},
		{"a client with an unknown signin", inClient, "signin", list{"okta"}, `client 2: signin "okta" is unknown`},
		{"an unknown signin", inAccount, "signin", list{"okta"}, `customer_account acme: signin "okta" is unknown`},
		{"no signin", inAccount, "signin", nil, "customer_account acme: has no signin"},
		{"an unknown client", inProduct, "client", "9", `product demo: client "9" is unknown`},
		{"no client", inProduct, "client", nil, "product demo: has no client"},
		{"an unknown account", inProduct, "customer_accounts", list{"x"}, "product demo: customer_account x is not defined"},
		{"no redirect URI", inProduct, "redirect_uris", nil, "product demo: has no redirect_uri"},
		{"negative seats", inProduct, "seats", -1, "seats cannot be negative"},
		{"an unknown policy of seats", inProduct, "when_full", "wait", `when_full "wait": expected evict_oldest or deny`},
		{"a policy of no seats", inProduct, "seats", nil, `when_full "deny": expected evict_oldest or deny, together with seats`},
		{"a backend over http", inProduct, "provision", map[string]any{"url": "http://back.example", "secret": "0123456789abcdef"}, "provision: http://back.example: expected https"},
		{"no license at all", "apps sso", "license", nil, "license_activation: the sso option has no license"},
		{"a gate with a client", inGate, "client", "2", "license_activation: client has no effect"},
		{"a gate with a bad prefix", inGate, "header_prefix", "X", "header_prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := object(t, right)
			in := place(t, config, c.in)
			if c.value == nil {
				delete(in, c.field)
			} else {
				in[c.field] = c.value
			}
			raw, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(raw); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error does not say %q:\n%v", c.want, err)
			}
		})
	}
}
