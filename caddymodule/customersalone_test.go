package caddymodule

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// A vendor's portal may have no users of its own.
func TestAPortalWhoseUsersAreThoseOfCustomersOfAFileTakesNoOtherSignIn(t *testing.T) {
	provider := brokenProvider(t, annOfAcme)
	w := newWorld(t)
	c := &customersWorld{world: w, path: filepath.Join(w.dir, "customers.jsonl"), vendor: newVendor(t), gate: freeAddr(t), app: w.visitor()}
	c.write(customerAt("acme", "acme", provider, ""))
	text := w.caddyfile(setup{global: `client 2 {
			public
			redirect_uri https://app.example/sso
			token_alg ES256
		}
		license {
			api_key key ` + licenseShared + `
			customers DIR/customers.jsonl
			product demo {
				client 2
				redirect_uri https://app.example/sso
			}
		}`, sites: c.setup().sites})
	before, rest, _ := strings.Cut(text, "signin local {")
	_, after, _ := strings.Cut(rest, "client 1 {")
	config, err := adapt(before + "client 1 {" + after)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, false); err != nil {
		t.Fatal(err)
	}
	at := c.arriveBy(c.visitor(), "acme", "code")
	if got := c.activate("acme", "code", at.Query().Get("code")); got.body != "the backend" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	for _, path := range []string{"/sso/sign_in", "/sso/account", "/sso/sign_in?" + authorize("1", "http://"+c.site+"/oauth2/callback")} {
		if got := c.visitor().get("http://" + c.portal + path); got.StatusCode >= http.StatusInternalServerError || strings.Contains(strings.ToLower(got.body), "acme") || !strings.Contains(got.body, "<h1") {
			t.Errorf("%s: %s: %s", path, got.Status, got.body)
		}
	}
}
