package caddymodule

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"

	"github.com/caddy-sso/caddy-sso/session"
)

func TestClass28AUserNameIsNeverExpanded(t *testing.T) {
	t.Setenv("SSO_TEST_SECRET", "hunter2")
	for _, name := range []string{
		"{env.SSO_TEST_SECRET}", "{http.request.header.Authorization}", "{http.auth.user.email}", `\{env.SSO_TEST_SECRET\}`, "{{env.SSO_TEST_SECRET}}", "{http.auth.user.{env.SSO_TEST_SECRET}}", "{",
	} {
		repl := caddy.NewReplacer()
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), caddy.ReplacerCtxKey, repl), "GET", "/", nil)
		r.Header.Set("Authorization", "hunter2")
		identify(r, &session.User{Name: name, Email: name, Subject: name, Groups: []string{name, "players"}})
		for placeholder, want := range map[string]string{"id": name, "name": name, "email": name, "subject": name, "groups": name + ",players"} {
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
