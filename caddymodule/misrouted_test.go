package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// A callback that never arrives: what stands before the gate changes the path of
// the redirect URI, so that each sign-in comes back as a page that needs one.
func TestACallbackThatAnotherPathBringsIsNoNewSignIn(t *testing.T) {
	const gate = "sso_gate {\nclient 2\n}\nrespond in\n"
	for name, test := range map[string]struct{ front, callback, page, seen string }{
		"a proxy in front strips a prefix": {"handle_path /app/* {\nreverse_proxy BEHIND\n}", "/app/oauth2/callback", "/app/x?y=1", "/oauth2/callback"},
		"a gate in handle_path":            {"handle_path /app/* {\n" + gate + "}", "/app/oauth2/callback", "/app/x?y=1", "/oauth2/callback"},
		"a rewrite before a gate":          {"route {\nrewrite /index.html\n" + gate + "}", "/oauth2/callback", "/x?y=1", "/index.html"},
		"a window":                         {"handle_path /app/* {\nsso_gate {\nclient 2\npopup\n}\nrespond in\n}", "/app/oauth2/callback", "/app/oauth2/sign_in?return=/app/x", "/oauth2/callback"},
		"a gate for other paths":           {"handle_path /app/* {\nsso_gate /x* {\nclient 2\n}\nrespond in\n}", "/app/oauth2/callback", "/app/x?y=1", "/oauth2/callback"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			front, behind := freeAddr(t), freeAddr(t)
			callback := "http://" + front + test.callback
			_, port, _ := strings.Cut(behind, ":")
			s := setup{
				global: "client 2 {\nname Behind\npublic\nredirect_uri " + callback + "\ntoken_alg ES256\n}",
				sites:  "http://" + front + " {\n" + strings.ReplaceAll(test.front, "BEHIND", behind) + "\n}\nhttp://:" + port + " {\n" + gate + "}",
			}.withLog()
			w.mustLoad(s)
			v := w.visitor()
			v.signIn("http://" + w.site + "/")
			for n := range 70 { // more codes than a session may have
				got := v.get("http://" + front + test.page)
				if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, "Signing in cannot be finished here") ||
					!strings.Contains(got.body, "redirect_uri is "+callback+", and its path arrived as "+test.seen) || !strings.Contains(got.body, "Try again") {
					t.Fatalf("visit %d ends at %s with %s: %s", n, got.Request.URL.Path, got.Status, got.body)
				}
			}
			v.code()
			text, lines := w.logged()
			found := 0
			for _, l := range lines {
				if strings.HasPrefix(l.Text, "a sign-in came back with another path than redirect_uri has") {
					found++
				}
			}
			if found != 1 || !strings.Contains(text, `"redirect_uri":"`+callback+`"`) || !strings.Contains(text, `"path_at_the_gate":"`+test.seen+`"`) {
				t.Errorf("%d lines: %s", found, text)
			}
		})
	}
}

// Other applications behind a gate have a state and a code of their own.
func TestAnotherApplicationsCallbackGoesOn(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{gate: "require group players"})
	v := w.visitor()
	for _, query := range []string{"code=c&state=s", "state=", "code=c&state=" + strings.Repeat("A", 300), "state=a;b", "state=%zz"} {
		if got := v.getOnce("http://" + w.site + "/their/callback?" + query); got.StatusCode != http.StatusFound {
			t.Errorf("%s without a session: %s", query, got.Status)
		}
	}
	v.signIn("http://" + w.site + "/")
	for _, query := range []string{"code=c&state=s", "state=a;b"} {
		if got := v.getOnce("http://" + w.site + "/their/callback?" + query); got.body != "hello demo" {
			t.Errorf("%s with a session: %s %s", query, got.Status, got.body)
		}
	}
}

// The page of fail_auth_url gets the state of the gate, too.
func TestTheFailPageOfAGateForOtherPathsIsShown(t *testing.T) {
	w := newWorld(t)
	site := "http://" + freeAddr(t)
	w.mustLoad(setup{
		global: "client 2 {\nname Studio\npublic\nredirect_uri " + site + "/oauth2/callback\nfail_auth_url " + site + "/start\n}",
		sites:  site + " {\n@app path /app /app/*\nsso_gate @app {\nclient 2\nfail_auth_url " + site + "/start\n}\nrespond \"{http.request.uri.path} {http.request.header.X-SSO-User}\"\n}",
	})
	v := w.visitor()
	got := v.get(site + "/app/x")
	if got.body != "/start " || got.Request.URL.Query().Get("resume") == "" {
		t.Fatalf("%s at %s: %s", got.Status, got.Request.URL, got.body)
	}
	if got = v.signIn(got.Request.URL.Query().Get("resume")); got.body != "/app/x demo" {
		t.Errorf("%s at %s: %s", got.Status, got.Request.URL, got.body)
	}
}
