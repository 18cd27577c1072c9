package caddymodule

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckExplainsWhatAnAuthorizationURLWouldGet(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: `client 2 {
			name Wiki
			secret "a secret of many letters"
			redirect_uri https://wiki.example/cb
			fail_auth_url https://wiki.example/signed-out
			audience wiki api
			scope email offline
		}`})
	portal := "http://" + w.portal
	const login = "/api/oauth2/auth?client_id=2&response_type=code&redirect_uri=https://wiki.example/cb&state=12345678&scope=email+playfab&audience=wiki"
	const openID = "/oauth2/authorize?client_id=2&response_type=code&redirect_uri=https://wiki.example/cb&scope=openid+groups+offline_access"
	for name, tt := range map[string]struct {
		request string
		refused bool
		says    []string
	}{
		"taken": {portal + login, false, []string{
			`The client is 2, "Wiki", with a secret.`, "With a session: 302 to https://wiki.example/cb?code=…&state=12345678",
			"Without a session: 302 to the sign-in page, " + portal + "/sso/sign_in", "Scopes: email",
			"Left out, since they are not registered for the client: playfab", "Audience: wiki", "Sign-in methods: all",
		}},
		"by a fail_auth_url": {portal + login + "&fail_auth_url=https://wiki.example/signed-out", false, []string{
			"Without a session: 302 to https://wiki.example/signed-out with error=login_required and resume.",
		}},
		"refused, with all that is wrong": {portal + strings.NewReplacer("12345678", "short", "=wiki", "=app").Replace(login), true, []string{
			"It is refused: 400, code 010-022. state should have at least 8 characters.",
			"  state: state should have at least 8 characters.",
			`  audience "app": audience is not registered for this client. Registered: wiki, api.`,
		}},
		"a redirect URI": {portal + strings.Replace(login, "/cb", "/cb/", 1), true, []string{
			`  redirect_uri "https://wiki.example/cb/": redirect_uri is not registered for this client. Registered: https://wiki.example/cb.`,
		}},
		"no such client": {portal + strings.Replace(login, "client_id=2", "client_id=9", 1), true, []string{"It is refused: 404, code 003-061. Object not found."}},
		"the session check, which leaves much out": {portal + "/api/oauth2/sso?client_id=2&response_type=code&state=12345678", false, []string{
			"With a session: 200, with login_url https://wiki.example/cb?code=…&state=12345678", "Without a session: 401, code 003-040.",
		}},
		"OpenID Connect": {portal + openID, false, []string{
			"With a session: 302 to https://wiki.example/cb with code, state and iss.", "Without a session: 302 to the sign-in page, " + portal + "/sso/sign_in/oauth2",
			"Scopes: openid offline", "Left out, since they are not registered for the client: groups", "Audience: wiki",
		}},
		"OpenID Connect, silently and by a form": {portal + openID + "&prompt=none&response_mode=form_post", false, []string{
			"With a session: a page that posts to https://wiki.example/cb with code, state and iss.", "Without a session: error=login_required, since prompt=none shows nothing.",
		}},
		"OpenID Connect, refused to the client": {portal + openID + "&audience=app", true, []string{
			"It is refused: error=invalid_request, told to https://wiki.example/cb. audience is not registered for this client.",
			`  audience "app": audience is not registered for this client. Registered: wiki, api.`,
		}},
		"OpenID Connect, by a base URL that ends in a slash": {portal + "/" + strings.Replace(openID, "?", "/?", 1), false, []string{
			"With a session: 302 to https://wiki.example/cb with code, state and iss.",
		}},
		"what a terminal would obey, or hide": {"https://old%c2%9bexample" + openID + "+a%e2%80%aeb", false, []string{
			"The URL is for https://old\ufffdexample, but the issuer is " + portal + ": a request comes to this portal only if both are the same.",
			"Left out, since they are not registered for the client: groups a\ufffdb",
		}},
		"another host": {"https://old.example" + login, false, []string{
			"The URL is for https://old.example, but the issuer is " + portal + ": a request comes to this portal only if both are the same.",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := sso(t, "", "check", "--address", w.admin, "--request", tt.request)
			if (err != nil) != tt.refused {
				t.Fatalf("%v\n%s", err, out)
			}
			lines := strings.Split(out, "\n")
			for _, want := range tt.says {
				if !slices.Contains(lines, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
	for args, want := range map[string]string{
		"":                                     "--request is missing",
		"--request " + portal + "/sso/account": "/sso/account is not the path of an authorization request",
	} {
		if out, err := sso(t, "", append([]string{"check", "--address", w.admin}, strings.Fields(args)...)...); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}
