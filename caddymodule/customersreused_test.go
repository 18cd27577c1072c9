package caddymodule

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// A customer's provider is the customer's, and who says who users are can be anybody.
func TestClass14AProviderOfAFileOfCustomersSaysNotWhoUsersAre(t *testing.T) {
	claims := maps.Clone(annOfAcme)
	provider := brokenProvider(t, claims)
	c := customersOf(t, `{"code":"branch","products":["demo"],"signin":["local"]}`+"\n")
	local := c.visitor()
	local.signIn("http://" + c.site + "/")
	var demo struct{ Sub string }
	if err := json.Unmarshal([]byte(c.introspected(tokenOf(t, c.arriveBy(local, "branch", "token")))), &demo); err != nil || demo.Sub == "" {
		t.Fatalf("%v: %q", err, demo.Sub)
	}
	claims["sub"] = demo.Sub
	own := func(code string) string {
		return strings.Replace(customerAt(code, code, provider, ""), `{"id"`, `{"subject":"own","id"`, 1)
	}
	page := `{"code":"page","products":["demo"],"providers":[{"method":"trusted","subject":"own","id":"page","url":"https://acme.example/sign-in","secret":"sixteen-letters-or-more"}]}` + "\n"
	c.write(own("acme"), page, customerAt("last", "last", provider, ""))
	c.eventuallyHas("last", true)
	for _, customer := range []string{"acme", "page"} {
		if c.has(customer) {
			t.Errorf("%s has a provider with subject own", customer)
		}
	}
	log, _ := c.logged()
	for _, want := range []string{"customers.jsonl:1: ", "customers.jsonl:2: ", "subject own is not for a provider of a customer"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	if !c.has("acme") {
		return
	}
	at := c.arriveBy(c.visitor(), "acme", "code")
	if got := c.activate("acme", "code", at.Query().Get("code")); got.body == "the backend" {
		if r, _ := c.vendor.last(t, 1); r.Header.Get("X-SSO-Subject") == demo.Sub {
			t.Errorf("a customer's provider made a user a local user: %v", r.Header)
		}
	}
}

// A local user who signed in at the provider of one customer has not at another's.
func TestClass14WhoIsLinkedToALocalUserIsNotAnotherCustomersByTheSameID(t *testing.T) {
	provider := brokenProvider(t, map[string]any{"preferred_username": "demo", "email": "demo@example.com", "email_verified": true})
	linked := func(code string) string {
		return strings.Replace(customerAt(code, "idp", provider, ""), `{"id"`, `{"link_email":"local","id"`, 1)
	}
	c := customersOf(t, linked("acme"))
	user := c.visitor()
	access := tokenOf(t, c.arriveBy(user, "acme", "token"))
	if said := c.introspected(access); !strings.Contains(said, `"demo"`) {
		t.Fatalf("nobody was linked: %s", said)
	}
	host := strings.TrimPrefix(provider.URL, "http://")
	if at, page := user.towards(c.sso("acme", "code").link(t), "app.example"); at == nil {
		t.Errorf("the session does not count for acme: %s at %s", page.Status, page.Request.URL)
	}
	c.write(linked("umbrella"))
	c.eventuallyHas("umbrella", true)
	if at, page := user.towards(c.sso("umbrella", "code").link(t), host); at == nil {
		t.Errorf("a session of acme's counts for umbrella: %s at %s", page.Status, page.Request.URL)
	}
}

// A customer is enabled, and disabled later, each time while the server is away, or
// with a reload.
func TestClass14WhatACustomerHadWhoIsDisabledAgainAtAStartIsOver(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	acme, disabled := customerAt("acme", "acme", provider, ""), customerAt("acme", "acme", provider, `,"disabled":true`)
	c := customersOf(t, acme)
	capacity := 17
	reload := func(lines string) {
		t.Helper()
		s := c.setup()
		s.global += "\ncodes {\ncapacity " + string(rune('0'+capacity%10)) + "7\n}"
		capacity++
		c.write(lines)
		c.mustLoad(s)
	}
	over := func() {
		t.Helper()
		eventually(t, "nothing is left in the store", func() bool { return len(c.sessions()) == 0 })
	}
	c.arriveBy(c.visitor(), "acme", "code")
	reload(disabled)
	over()
	eventually(t, "it is remembered", func() bool {
		log, _ := c.logged()
		return strings.Contains(log, "sessions and grants of disabled customers were ended")
	})
	reload(acme)
	c.arriveBy(c.visitor(), "acme", "code")
	reload(disabled)
	over()
}
