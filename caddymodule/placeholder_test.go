package caddymodule

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/httphandler"
	"github.com/caddy-sso/caddy-sso/internal/gate"
	"github.com/caddy-sso/caddy-sso/session"
)

func TestClass28AUserNameIsNeverExpanded(t *testing.T) {
	t.Setenv("SSO_TEST_SECRET", "hunter2")
	for _, name := range []string{
		"{env.SSO_TEST_SECRET}", "{http.request.header.Authorization}", "{http.auth.user.email}", `\{env.SSO_TEST_SECRET\}`, "{{env.SSO_TEST_SECRET}}", "{http.auth.user.{env.SSO_TEST_SECRET}}", "{",
	} {
		repl := caddy.NewReplacer()
		ctx := context.WithValue(context.WithValue(t.Context(), caddy.ReplacerCtxKey, repl), caddyhttp.VarsCtxKey, map[string]any{})
		r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		r.Header.Set("Authorization", "hunter2")
		httphandler.SetUser(r, &session.User{Name: name, Email: name, Subject: name, Groups: []string{name, "players"}})
		for placeholder, want := range map[string]string{"id": name, "name": name, "email": name, "subject": name, "groups": gate.JoinGroups([]string{name, "players"})} {
			if got := repl.ReplaceAll("{http.auth.user."+placeholder+"}", "empty"); got != want {
				t.Errorf("%s is %q, expected %q", placeholder, got, want)
			}
		}
		if got := repl.ReplaceAll("{http.auth.user.other}", "empty"); got != "empty" {
			t.Errorf("an unknown one is %q", got)
		}

		ops := headers.HeaderOps{Set: map[string][]string{"X-User": {"{http.auth.user.id}"}}}
		ops.ApplyToRequest(r)
		if got := r.Header.Get("X-User"); got != name {
			t.Errorf("header_up made %q of %q", got, name)
		}
	}
}

// Caddy sends the text of a placeholder that it does not know, as if it were a
// user's name.
func TestClass34NoPlaceholderReachesABackendAsText(t *testing.T) {
	w := newWorld(t)
	var seen http.Header
	remember := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	backend, another := httptest.NewServer(remember), httptest.NewServer(remember)
	t.Cleanup(backend.Close)
	t.Cleanup(another.Close)
	const names = "id name subject email groups foo mail"
	t.Setenv("LICENSE_TEST_SHARED_KEY", licenseShared)
	open, license := freeAddr(t), freeAddr(t)
	proxy := "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + " {\n"
	for name := range strings.FieldsSeq(names) {
		proxy += "header_up Remote-" + name + " \"<{http.auth.user." + name + "}>\"\n"
	}
	proxy += "}\n"
	inErrors := "error /error 500\nhandle_errors {\n" + strings.Replace(proxy, backend.URL[len("http://"):], another.URL[len("http://"):], 1) + "}\n"
	w.mustLoad(setup{
		handler: proxy + inErrors, portal: proxy + inErrors,
		gate: "allow_preflight\nallow_client 9\nfail_auth_url http://" + w.site + "/signed-out\n",
		global: strings.Replace(licensed, "PROVISION", "", 1) + strings.Replace(backendClient, "client 2", "client 9", 1) +
			"\nclient 5 {\npublic\nredirect_uri http://" + open + "/cb\n}\n",
		sites: "http://" + open + " {\nsso_gate /private/* {\nclient 5\n}\nsso_gate /both/* {\nclient 5\n}\nsso_gate /other/* {\nclient 5\n}\n" + proxy + inErrors + "}\n" +
			"http://" + license + " {\nsso_gate {\nlicense_activation\n}\n" + proxy + inErrors + "}\n",
	})
	v := w.visitor()
	v.signIn("http://" + w.portal + "/sso/sign_in")
	var subject string
	want := func(name, value string) {
		t.Helper()
		if seen == nil {
			t.Fatalf("%s: nothing reached the backend", name)
		}
		for placeholder := range strings.FieldsSeq(names) {
			want := "<>"
			if value != "" {
				want = map[string]string{"id": "<demo>", "name": "<demo>", "email": "<demo@example.com>", "groups": "<players>"}[placeholder]
			}
			if placeholder == "subject" && value != "" {
				subject = cmp.Or(seen.Get("X-SSO-Subject"), subject) // which error routes have not
				want = "<" + subject + ">"
			}
			if want == "" { // there is none of this name
				want = "<>"
			}
			if got := seen.Get("Remote-" + placeholder); got != want {
				t.Errorf("%s: %s is %q, want %q", name, placeholder, got, want)
			}
		}
		seen = nil
	}
	unauthenticated := w.visitor()
	for name, target := range map[string]string{
		"the fail_auth_url":            w.site + "/signed-out",
		"a path without a policy":      open + "/a",
		"an error there":               open + "/error",
		"a path of the license gate":   license + "/a",
		"an error there, too":          license + "/error",
		"what the portal does not own": w.portal + "/a",
		"an error behind the portal":   w.portal + "/error",
	} {
		unauthenticated.getOnce("http://" + target)
		want(name, "")
	}
	unauthenticated.send(unauthenticated.request(anError, "http://"+open+"/a", ""))
	want("an error before all gates", "")
	r := unauthenticated.request(http.MethodOptions, "http://"+w.site+"/a", "")
	r.Header.Set("Origin", "https://a.example")
	r.Header.Set("Access-Control-Request-Method", "POST")
	unauthenticated.send(r)
	want("a preflight", "")
	w.call(v.tokenOf("9"))
	want("a client's own token", "")

	v.get("http://" + w.site + "/a")
	want("with a session", "demo")
	v.get("http://" + w.site + "/error")
	want("an error with a session", "demo")
	for _, path := range []string{"/private/a", "/both/a", "/other/a"} { // the first, the second, the last gate identifies
		v.get("http://" + open + path)
		want(path, "demo")
	}
}

func TestClass38GroupsAreEncodedInThePlaceholderAsInTheHeader(t *testing.T) {
	repl := caddy.NewReplacer()
	ctx := context.WithValue(context.WithValue(t.Context(), caddy.ReplacerCtxKey, repl), caddyhttp.VarsCtxKey, map[string]any{})
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	for _, c := range []struct {
		groups []string
		want   string
	}{{[]string{"x,admins"}, "x%2Cadmins"}, {[]string{"x", "admins"}, "x,admins"}, {[]string{"größe", "50%"}, "gr%C3%B6%C3%9Fe,50%25"}, {nil, ""}} {
		httphandler.SetUser(r, &session.User{Groups: c.groups})
		if got := repl.ReplaceAll("{http.auth.user.groups}", ""); got != c.want {
			t.Errorf("%q are %q, want %q", c.groups, got, c.want)
		}
	}
}
