package loginapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/httpapi/httpapitest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const social = "/api/oauth2/social/"

func TestTheURLOfAProviderIsAnAddressOfThePortal(t *testing.T) {
	w := newWorld(t)
	a := w.Get("/api//oauth2/social/acme/login_url?"+game().Encode(), "", "Origin", "https://game.example")
	var body struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	path, ok := strings.CutPrefix(body.URL, issuer)
	if !ok || !strings.HasPrefix(path, social+"acme/login_redirect?") {
		t.Fatalf("url %q", body.URL)
	}
	next := w.Get(path, "")
	if to := next.Header.Get("Location"); next.Status != http.StatusFound || !strings.HasPrefix(to, "https://acme.example/authorize?") {
		t.Errorf("%d, to %q", next.Status, to)
	}
	wantHeaders(t, next, "Cache-Control", "no-store", "Referrer-Policy", "no-referrer")
}

// What goes on after the provider is a request that auth takes, whole.
func TestTheCallbackOfAProviderLeadsToARequestOfAuth(t *testing.T) {
	for name, query := range map[string]url.Values{
		"as auth has it":  game("scope", "email offline", "popup", "1", "widget_only", "true", "disable_socials", "0", "fail_auth_url", "https://fail.example/x"),
		"as games ask":    {"response_type": {"code", "code"}, "client_id": {"4"}, "state": {"xsollatest"}, "scope": {"offline"}, "redirect_uri": {"https://older.example/cb"}, "locale": {"en"}},
		"with the least":  {"response_type": {"code"}, "client_id": {"4"}, "state": {"xsollatest"}},
		"with empty ones": {"response_type": {"code"}, "client_id": {"4"}, "state": {"xsollatest"}, "redirect_uri": {""}, "audience": {""}, "scope": {""}, "popup": {""}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.Get(social+"acme/login_redirect?"+query.Encode(), "")
			to, err := url.Parse(a.Header.Get("Location"))
			if a.Status != http.StatusFound || err != nil {
				t.Fatalf("%d %s %v", a.Status, a.Body, err)
			}
			goesOn := to.Query().Get("goes_on_with")
			cookie, _ := w.signIn(ada)
			back := w.Get(authPath+"?"+goesOn, cookie)
			want := callback
			if query.Get("client_id") == "4" {
				want = "https://older.example/cb?code="
			}
			if query.Get("popup") == "1" {
				want = issuer + "/sso/widget"
			}
			if back.Status != http.StatusFound || !strings.HasPrefix(back.Header.Get("Location"), want) {
				t.Errorf("%d %s %s, with %s", back.Status, back.Header.Get("Location"), back.Body, goesOn)
			}
			if strings.Contains(goesOn, "locale") {
				t.Errorf("what nobody knows goes along: %s", goesOn)
			}
		})
	}
}

// The flags of the pages go along as they are read.
func TestServiceFlagsAreReadInAnyCaseAndRubbishIsFalse(t *testing.T) {
	w := newWorld(t)
	for _, flag := range []string{"widget_only", "enable_post_message_login", "disable_socials"} {
		for value, want := range map[string]string{
			"true": "true", "True": "true", "TRUE": "true", "1": "true",
			"false": "", "False": "", "0": "", "": "", "yes": "", "2": "", "null": "", "true ": "",
		} {
			a := w.Get(social+"acme/login_redirect?"+game(flag, value).Encode(), "")
			to, err := url.Parse(a.Header.Get("Location"))
			if a.Status != http.StatusFound || err != nil {
				t.Fatalf("%s=%q: %d %s %v", flag, value, a.Status, a.Body, err)
			}
			goesOn, err := url.ParseQuery(to.Query().Get("goes_on_with"))
			if err != nil || goesOn.Get(flag) != want {
				t.Errorf("%s=%q goes on as %q", flag, value, goesOn.Get(flag))
			}
		}
	}
}

func TestProvidersRefuseWithTheErrorsOfTheReference(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name        string
		path        string
		query       url.Values
		headers     []string
		status      int
		code        string
		description string
	}{
		{"the URL of an unknown provider", "github/login_url", game(), nil, 404, "003-061", "Object not found: there is no such provider."},
		{"a redirect to an unknown provider", "github/login_redirect", game(), nil, 404, "003-061", "Object not found: there is no such provider."},
		{"a provider that is down", "down/login_redirect", game(), nil, 422, "010-015", "The provider does not answer."},
		{"an unknown client", "acme/login_url", game("client_id", "99"), nil, 404, "003-061", "Object not found."},
		{"a disabled client", "acme/login_redirect", game("client_id", "3"), nil, 422, "003-020", "This call is not available for the project."},
		{"a redirect URI of nobody", "acme/login_redirect", game("redirect_uri", "https://evil.example/"), nil, 400, "0", "redirect_uri is not registered for this client."},
		{"a short state", "acme/login_url", game("state", "short"), nil, 400, "010-022", "state should have at least 8 characters."},
		{"Class13 no PKCE", "acme/login_redirect", game("code_challenge", "-", "code_challenge_method", "-"), nil, 400, "0", "code_challenge is missing: a public client has to use PKCE."},
		{"an image", "acme/login_redirect", game(), []string{"Sec-Fetch-Mode", "no-cors"}, 400, "0", "This address is for navigations and scripts, not for an image or another part of a page."},
		{"another site's script", "acme/login_url", game(), []string{"Origin", "https://evil.example"}, 401, "010-026", "Request denied: the origin is not registered."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.Get(social+tt.path+"?"+tt.query.Encode(), "", tt.headers...)
			wantError(t, a, tt.status, tt.code, tt.description)
		})
	}
	for _, path := range []string{social, social + "acme", social + "acme/", social + "acme/link", social + "/login_url", social + "acme/login_url/x"} {
		if a := w.Get(path, ""); a.Status != http.StatusNotFound || a.Body != httpapitest.NotFound {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// Every endpoint for scripts answers preflights, and lets registered origins
// read, with cookies, and no other.
func TestEveryEndpointForScriptsHasCredentialedCORS(t *testing.T) {
	w := newWorld(t)
	for path, methods := range map[string]string{
		"/api/oauth2/sso": "GET", "/api/oauth2/clear_sso": "GET", "/api/oauth2/token": "POST", "/api/oauth2/login": "POST",
		"/api/oauth2/login/token": "POST", "/api/oauth2/logout": "GET", "/api/oauth2/token/revoke": "POST", "/api/token/validate": "POST",
		"/api/users/me": "GET, HEAD", social + "acme/login_url": "GET",
	} {
		t.Run(path, func(t *testing.T) {
			method, _, _ := strings.Cut(methods, ",")
			preflight := func(origin string) answer {
				return w.Send(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,content-type")
			}
			a := preflight("https://game.example")
			if a.Status != http.StatusNoContent || a.Body != "" {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			wantHeaders(t, a, "Access-Control-Allow-Origin", "https://game.example", "Access-Control-Allow-Credentials", "true",
				"Access-Control-Allow-Methods", methods, "Access-Control-Allow-Headers", "Authorization, Content-Type", "Vary", "Origin", "Location", "", "Set-Cookie", "")
			for _, origin := range []string{"https://evil.example", "null", "https://game.example.evil.example", "http://game.example"} {
				wantHeaders(t, preflight(origin), "Access-Control-Allow-Origin", "", "Access-Control-Allow-Credentials", "", "Access-Control-Allow-Methods", "", "Vary", "Origin")
				a := w.Send(method, path, "", "Origin", origin)
				wantHeaders(t, a, "Access-Control-Allow-Origin", "", "Vary", "Origin")
			}
			a = w.Send(method, path, "", "Origin", "https://game.example")
			wantHeaders(t, a, "Access-Control-Allow-Origin", "https://game.example", "Access-Control-Allow-Credentials", "true",
				"Access-Control-Expose-Headers", "Retry-After", "Location", "")
			other := map[string]string{"GET": "POST", "POST": "GET"}[method]
			if a := w.Send(other, path, ""); a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != methods {
				t.Errorf("%s: %d, Allow %q", other, a.Status, a.Header.Get("Allow"))
			}
		})
	}
	if n := w.Audit.FilterMessage(string(oauth.SignedInEvent)).Len(); n != 0 {
		t.Errorf("%d signed in", n)
	}
}
