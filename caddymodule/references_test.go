package caddymodule

import "testing"

// The IDs of all methods of this module are known while the Caddyfile is read.
func TestAnUnknownSigninIsRefusedOnItsLineBesideAnyMethod(t *testing.T) {
	for _, method := range []string{
		"signin oidc acme {\nissuer https://acme.example\nclient_id x\n}",
		"signin backend acme {\nurl https://acme.example/check\nsecret sixteen-letters-or-more\n}",
		"signin trusted acme {\nurl https://acme.example/page\nsecret sixteen-letters-or-more\n}",
	} {
		for block, want := range map[string]string{
			"client 9 {\npublic\nredirect_uri https://nine.example/cb\nsignin acme okta\n}": `client 9: signin "okta" is unknown`,
			"license {\ncustomer_account blue {\nsignin acme okta\n}\n}":                    `customer_account blue: signin "okta" is unknown`,
		} {
			t.Run(method[:len("signin back")]+" "+block[:len("license")], func(t *testing.T) {
				refusedOnItsLine(t, "brand {", method+"\n"+block+"\nbrand {", "signin acme okta", []string{want, "add it to the sso option"})
			})
		}
	}
}
