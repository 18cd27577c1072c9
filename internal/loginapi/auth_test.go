package loginapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const authPath = "/api/oauth2/auth"

func TestAuthGoesToTheCallbackWithACodeAndTheStateUnchanged(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	redirects := map[string]string{ // requested, and what stands before the code
		callback:                          callback + "?code=",
		callback + "?track=7":             callback + "?track=7&code=",
		"http://127.0.0.1/callback":       "http://127.0.0.1/callback?code=",
		"http://127.0.0.1:49152/callback": "http://127.0.0.1:49152/callback?code=",
		"http://localhost:49152/callback": "http://localhost:49152/callback?code=",
		"com.example.game:/cb":            "com.example.game:/cb?code=",
	}
	states := []string{
		"12345678", "a b+c%20d&e=f#g?h", `"><script>alert(1)</script>`, "https://evil.example/?code=x&state=y",
		"javascript:alert(1)", "../../..//", "\\\\evil.example", "%00%0d%0aSet-Cookie: x=y", "ünïcödé 状態 🔑",
		strings.Repeat("s", 16<<10),
	}
	for redirect, before := range redirects {
		for _, state := range states {
			a := w.Get(authPath+"?"+game("redirect_uri", redirect, "state", state).Encode(), cookie)
			if a.Status != http.StatusFound {
				t.Fatalf("%s, state %q: %d %s", redirect, state, a.Status, a.Body)
			}
			rest, ok := strings.CutPrefix(a.Header.Get("Location"), before)
			code, escaped, found := strings.Cut(rest, "&state=")
			if !ok || !found || len(code) != 43 || strings.Trim(escaped, unreserved+"%") != "" {
				t.Errorf("went to %q", a.Header.Get("Location"))
			}
			// What reads forms and what reads URIs find the same state.
			for decoder, decode := range map[string]func(string) (string, error){"form": url.QueryUnescape, "URI": url.PathUnescape} {
				if got, err := decode(escaped); err != nil || got != state {
					t.Errorf("as a %s the state %q came back as %q (%v)", decoder, state, got, err)
				}
			}
			wantHeaders(t, a, "Cache-Control", "no-store", "Referrer-Policy", "no-referrer", "Set-Cookie", "")
		}
	}
}

const unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

func TestWhatRealClientsSendWorks(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	q := game().Encode()
	for name, path := range map[string]string{
		"two slashes after api":                      "/api//oauth2/auth?" + q,
		"slashes doubled everywhere":                 "//api///oauth2//auth?" + q,
		"response_type twice":                        authPath + "?response_type=code&" + q,
		"every parameter twice":                      authPath + "?" + q + "&" + q,
		"unknown parameters":                         authPath + "?" + q + "&projectId=abc&trackId=&%zz=%zz&=&&;",
		"an unknown parameter with different values": authPath + "?" + q + "&nonce=1&nonce=2",
		"every parameter of the reference": authPath + "?" + game("popup", "false", "widget_only", "true", "enable_post_message_login", "1",
			"disable_socials", "0", "fail_auth_url", "https://fail.example/x").Encode(),
		"a scope that is not registered":      authPath + "?" + game("scope", "email offline playfab admin").Encode(),
		"no scope at all":                     authPath + "?" + game("scope", "").Encode(),
		"audiences, each encoded in the list": authPath + "?" + game("audience", "game "+url.QueryEscape("https://api.example/a b+c")).Encode(),
		"a flag without a value":              authPath + "?" + q + "&popup=",
		"a flag in another case":              authPath + "?" + q + "&popup=False&widget_only=True&disable_socials=TRUE",
		"service flags that are no booleans":  authPath + "?" + q + "&widget_only=2&enable_post_message_login=on&disable_socials=null",
		"a client that may leave PKCE out": authPath + "?" + game("client_id", "4", "redirect_uri", "https://older.example/cb", "audience", "older",
			"code_challenge", "-", "code_challenge_method", "-").Encode(),
	} {
		t.Run(name, func(t *testing.T) {
			for _, accept := range []string{"", "text/html", "application/json"} {
				a := w.Get(path, cookie, "Accept", accept)
				if a.Status != http.StatusFound || !strings.Contains(a.Header.Get("Location"), "?code=") {
					t.Errorf("%d %s %s", a.Status, a.Header.Get("Location"), a.Body)
				}
			}
		})
	}
}

func TestAuthRefusesWithTheErrorsOfTheReference(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	const pkce = "code_challenge is missing: a public client has to use PKCE."
	const shape = "code_challenge should be the base64url of a SHA-256 digest."
	const unregistered = "redirect_uri is not registered for this client."
	for _, tt := range []struct {
		name        string
		query       url.Values
		status      int
		code        string
		description string
	}{
		{"client_id missing", game("client_id", "-"), 400, "0", "client_id is missing."},
		{"client_id empty", game("client_id", ""), 400, "0", "client_id is missing."},
		{"client_id no integer", game("client_id", "game"), 400, "0", "client_id should be an integer."},
		{"client_id negative", game("client_id", "-1"), 400, "0", "client_id should be an integer."},
		{"client unknown", game("client_id", "99"), 404, "003-061", "Object not found."},
		{"client_id in another spelling", game("client_id", "01"), 404, "003-061", "Object not found."},
		{"client disabled", game("client_id", "3"), 422, "003-020", "This call is not available for the project."},
		{"redirect_uri missing", game("redirect_uri", "-"), 400, "0", "redirect_uri is missing."},
		{"redirect_uri empty", game("redirect_uri", ""), 400, "0", "redirect_uri is missing."},
		{"redirect_uri that is not registered", game("redirect_uri", "https://evil.example/cb"), 400, "0", unregistered},
		{"redirect_uri of another client", game("redirect_uri", "https://server.example/cb"), 400, "0", unregistered},
		{"response_type missing", game("response_type", "-"), 400, "0", "response_type is missing."},
		{"response_type empty", game("response_type", ""), 400, "0", "response_type is missing."},
		{"response_type token", game("response_type", "token"), 400, "0", "response_type should be code."},
		{"response_type in capitals", game("response_type", "CODE"), 400, "0", "response_type should be code."},
		{"state missing", game("state", "-"), 400, "010-022", "state should have at least 8 characters."},
		{"state empty", game("state", ""), 400, "010-022", "state should have at least 8 characters."},
		{"state short", game("state", "1234567"), 400, "010-022", "state should have at least 8 characters."},
		{"state short in characters, long in bytes", game("state", "äöüäöüä"), 400, "010-022", "state should have at least 8 characters."},
		{"scope missing", game("scope", "-"), 400, "0", "scope is missing."},
		{"audience missing", game("audience", "-"), 400, "0", "audience is missing."},
		{"audience empty", game("audience", " "), 400, "0", "audience is missing."},
		{"Class26 audience of another client", game("audience", "game server"), 400, "0", "audience is not registered for this client."},
		{"audience badly encoded inside", game("audience", "game%zz"), 400, "0", "audience is not registered for this client."},
		{"Class13 no challenge", game("code_challenge", "-", "code_challenge_method", "-"), 400, "0", pkce},
		{"Class13 empty challenge", game("code_challenge", "", "code_challenge_method", ""), 400, "0", pkce},
		{"Class13 method without a challenge", game("code_challenge", "-"), 400, "0", "code_challenge is missing."},
		{"Class13 challenge without a method, which means plain", game("code_challenge_method", "-"), 400, "0", "code_challenge_method should be S256."},
		{"Class13 method plain", game("code_challenge_method", "plain"), 400, "0", "code_challenge_method should be S256."},
		{"Class13 method in lower case", game("code_challenge_method", "s256"), 400, "0", "code_challenge_method should be S256."},
		{"challenge too short", game("code_challenge", "abc"), 400, "0", shape},
		{"challenge with padding", game("code_challenge", oauth.Challenge(verifier)+"="), 400, "0", shape},
		{"fail_auth_url that is not registered", game("fail_auth_url", "https://evil.example/"), 400, "0", "fail_auth_url is not registered for this client."},
		{"popup neither true nor false", game("popup", "yes"), 400, "0", "popup should be true or false."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range []string{cookie, ""} {
				wantError(t, w.Get(authPath+"?"+tt.query.Encode(), c), tt.status, tt.code, tt.description)
			}
		})
	}
	if n := w.Audit.FilterMessage(string(oauth.CodeIssued)).Len(); n != 0 {
		t.Errorf("%d codes were issued", n)
	}
}

func TestAnImageOfAPageUsesUpNobodysCodes(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, site := range []string{"same-origin", "same-site", "cross-site"} {
		for _, dest := range []string{"image", "script", "empty", "document"} {
			a := w.Get(authPath+"?"+game().Encode(), cookie, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", dest)
			wantError(t, a, 400, "0", "This address is for navigations and scripts, not for an image or another part of a page.")
		}
	}
	if n := w.Audit.FilterMessage(string(oauth.CodeIssued)).Len(); n != 0 {
		t.Errorf("%d codes were issued", n)
	}
	for _, mode := range []string{"navigate", "cors", "same-origin", ""} {
		if a := w.Get(authPath+"?"+game().Encode(), cookie, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", mode); a.Status != http.StatusFound {
			t.Errorf("mode %q: %d %s", mode, a.Status, a.Body)
		}
	}
}

func TestEveryParameterOfAuthIsHeldToItsForm(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, name := range []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "audience", "code_challenge",
		"code_challenge_method", "fail_auth_url", "popup", "widget_only", "enable_post_message_login", "disable_socials",
	} {
		q := game("fail_auth_url", "https://fail.example/x", "popup", "0", "widget_only", "0", "enable_post_message_login", "0", "disable_socials", "0")
		others := url.Values{}
		for n, v := range q {
			if n != name {
				others[n] = v
			}
		}
		const dirty = " has control characters or is not UTF-8."
		for broken, description := range map[string]string{
			url.Values{name: {q.Get(name), q.Get(name) + "x"}}.Encode(): name + " is there more than once, with different values.",
			name + "=&" + name + "=" + url.QueryEscape(q.Get(name)):     name + " is there more than once, with different values.",
			name + "=%ff%fe":       name + dirty,
			name + "=%c0%af":       name + dirty,
			name + "=a%00b":        name + dirty,
			name + "=a%0d%0aX:%20": name + dirty,
			name + "=%7f":          name + dirty,
			name + "=%c2%85":       name + dirty,
			name + "=%e2%80%a8":    name + dirty,
			name + "=%zz":          name + " is not URL-encoded.",
			name + "=%":            name + " is not URL-encoded.",
			name + "=" + strings.Repeat("a", 16<<10+1): name + " is longer than 16384 bytes.",
		} {
			for _, query := range []string{broken + "&" + others.Encode(), others.Encode() + "&" + broken} {
				wantError(t, w.Get(authPath+"?"+query, cookie), 400, "0", description)
			}
		}
		// What no server lets through is refused all the same.
		for raw, description := range map[string]string{
			name + "=a\x00b":                        name + dirty,
			name + "=\xff":                          name + dirty,
			name + "=" + strings.Repeat("a", 1<<20): "The parameters are too long.",
		} {
			wantError(t, w.Direct(http.MethodGet, authPath, raw+"&"+others.Encode(), "", "Cookie", cookie), 400, "0", description)
		}
	}
}

func TestAParameterNameMayBeEncoded(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	a := w.Get(authPath+"?"+game().Encode()+"&%73tate=another+state", cookie)
	wantError(t, a, 400, "0", "state is there more than once, with different values.")
}

func TestTheQueryIsBoundedAsAWhole(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	query := game().Encode() + "&unknown="
	query += strings.Repeat("u", 32<<10-len(query))
	for _, path := range []string{authPath, "/api/oauth2/sso"} {
		if a := w.Get(path+"?"+query, cookie); a.Status >= http.StatusBadRequest {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		wantError(t, w.Get(path+"?"+query+"u", cookie), 400, "0", "The parameters are too long.")
	}
}

func TestOtherMethodsThanGetAreNotAllowed(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for path, allow := range map[string]string{
		authPath: "GET", "/api/oauth2/sso": "GET", "/api/oauth2/clear_sso": "GET",
		"/api/oauth2/token": "POST", "/api/projects/1/keys": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if strings.Contains(allow, method) {
				continue
			}
			a := w.Send(method, path+"?"+game().Encode(), "", "Cookie", cookie)
			if method == "HEAD" {
				a.Body = `{"error":{"code":"0","description":"The method is not allowed.","details":{}}}` + "\n"
			}
			wantError(t, a, 405, "0", "The method is not allowed.")
			wantHeaders(t, a, "Allow", allow)
		}
	}
	if w.Get(authPath+"?"+game().Encode(), cookie).Status != http.StatusFound {
		t.Error("the session is gone")
	}
}

func TestOtherPathsAreNotTheAPIs(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"/", "/api", "/api/", "/api/oauth2", "/api/oauth2/", "/api/oauth2/auth/", "/api/oauth2/auth.json", "/API/oauth2/auth",
		"/x/api/oauth2/auth", "/api/oauth2/../oauth2/auth", "/api/projects/keys", "/api/projects/a/b/keys", "/api/projects/1/keys/",
	} {
		if w.api.Endpoint(path) != nil {
			t.Errorf("answers %s", path)
		}
	}
}
