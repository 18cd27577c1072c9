package caddymodule

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// handlers are the handlers of a configuration's last route, in their order.
func handlers(t *testing.T, config []byte) []string {
	t.Helper()
	var c struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct{ Routes caddyhttp.RouteList }
			}
		}
	}
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, server := range c.Apps.HTTP.Servers {
		for _, route := range server.Routes {
			for _, raw := range route.HandlersRaw {
				names = append(names, object(t, raw)["handler"].(string))
			}
		}
	}
	return names
}

// However they are written down, the portal comes first, then the gate, then
// all that answers or rewrites.
func TestThePortalComesBeforeTheGateAndBothBeforeAllThatAnswers(t *testing.T) {
	directives := []string{
		"respond ok", "redir /a /b", "rewrite /c /d", "uri strip_prefix /e", "method GET", "try_files {path} /f",
		"basic_auth {\nann " + demoHash + "\n}", "forward_auth localhost:1 {\nuri /\n}", "request_header X-A b",
		"encode gzip", "templates", "reverse_proxy localhost:2", "file_server", "sso_gate {\nclient 1\n}", "sso_portal",
	}
	options, _, _ := strings.Cut(spoil(t, "", ""), "https://login.example {")
	for range 2 {
		slices.Reverse(directives)
		config, err := adapt(options + ":8080 {\n" + strings.Join(directives, "\n") + "\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		got := handlers(t, config)
		if len(got) < len(directives) || got[0] != "sso_portal" || got[1] != "sso_gate" {
			t.Errorf("the handlers come as %q", got)
		}
	}
}

func TestAGateReturnsToTheAddressOfBeforeARewrite(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{handler: `respond "{http.request.uri} for {http.auth.user.id}"` + "\nrewrite /pretty/* /index.php?p={path}"})
	v := w.visitor()
	got := v.signIn("http://" + w.site + "/pretty/page?a=b")
	if got.Request.URL.RequestURI() != "/pretty/page?a=b" || got.body != "/index.php?p=%2Fpretty%2Fpage for demo" {
		t.Errorf("%s at %s: %s", got.Status, got.Request.URL, got.body)
	}
}

// In a route block a rewrite can come first; what the person asked for is still
// where they come back to.
func TestAGateAfterARewriteReturnsToTheOriginalAddress(t *testing.T) {
	w := newWorld(t)
	site := freeAddr(t)
	w.mustLoad(setup{
		global: "client 2 {\npublic\nredirect_uri http://" + site + "/cb\ntoken_alg ES256\n}",
		sites: "http://" + site + " {\nroute {\nrewrite /pretty/* /index.php?p=1\nsso_gate {\nclient 2\n}\n" +
			"respond \"{http.request.uri} for {http.auth.user.id}\"\n}\n}\n",
	})
	got := w.visitor().signIn("http://" + site + "/pretty/page?a=b")
	if got.Request.URL.RequestURI() != "/pretty/page?a=b" || got.body != "/index.php?p=1 for demo" {
		t.Errorf("%s at %s: %s", got.Status, got.Request.URL, got.body)
	}
}

// The matcher of a gate is part of the gate: what it does not match passes, but
// not with a forged identity.
func TestAGateWithAMatcherScrubsWhatItDoesNotMatch(t *testing.T) {
	w := newWorld(t)
	site := freeAddr(t)
	w.mustLoad(setup{
		global: "client 2 {\npublic\nredirect_uri http://" + site + "/cb\ntoken_alg ES256\n}",
		sites: "http://" + site + " {\nsso_gate /private/* {\nclient 2\n}\n" +
			"respond \"user [{http.request.header.X-SSO-User}]\"\n}\n",
	})
	v := w.visitor()
	r := v.request(http.MethodGet, "http://"+site+"/public", "")
	r.Header["x_sso.USER"] = []string{"root"}
	r.Header.Set("X-SSO-User", "root")
	if got := v.send(r); got.body != "user []" {
		t.Errorf("an unauthenticated visitor is %s", got.body)
	}
	if got := v.signIn("http://" + site + "/private/a"); got.body != "user [demo]" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
}

// The values of users and operators are texts, never templates.
func TestClass28GroupsAreNotExpandedOnTheirWayToAnAnswer(t *testing.T) {
	t.Setenv("SSO_TEST_SECRET", "hunter2")
	w := newWorld(t)
	config, err := adapt(w.caddyfile(setup{handler: "header >X-Groups {http.auth.user.groups}\n" + `respond "{http.auth.user.name} {http.auth.user.groups} "`}))
	if err != nil {
		t.Fatal(err)
	}
	c := object(t, config)
	place(t, c, inUser)["groups"] = []string{"{env.SSO_TEST_SECRET}", "{http.auth.user.email}"}
	if err := loadJSON(c); err != nil {
		t.Fatal(err)
	}
	got := w.visitor().signIn("http://" + w.site + "/")
	const literal = "%7Benv.SSO_TEST_SECRET%7D,%7Bhttp.auth.user.email%7D"
	if got.body != "demo "+literal+" " || got.Header.Get("X-Groups") != literal {
		t.Errorf("%q, X-Groups %q", got.body, got.Header.Get("X-Groups"))
	}
}
