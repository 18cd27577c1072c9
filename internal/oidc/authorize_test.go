package oidc_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func (w *world) authorize(query url.Values, cookie string, headers ...string) answer {
	w.T.Helper()
	return w.Get("/oauth2/authorize?"+query.Encode(), cookie, headers...)
}

func TestACodeComesWithTheUnchangedStateAndTheIssuer(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, state := range []string{"", "x", "a state+1 & more=#/?", "žluťoučký"} {
		a := w.authorize(app("state", state), cookie)
		back := parameters(t, a.Location())
		if a.Status != http.StatusFound || !strings.HasPrefix(a.Location(), callback+"?code=") || back.Get("state") != state || back.Has("state") != (state != "") || back.Get("iss") != w.URL || len(back["code"]) != 1 {
			t.Errorf("state %q: %d %s", state, a.Status, a.Location())
		}
		if strings.Contains(a.Location(), "+") {
			t.Errorf("a plus sign means a space to some decoders only: %s", a.Location())
		}
		wantHeaders(t, a, "Cache-Control", "no-store", "Referrer-Policy", "no-referrer", "Set-Cookie", "")
	}
}

func TestClass10And11ErrorsNeverRedirectToWhatIsNotRegistered(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	const unregistered = "redirect_uri is not registered for this client."
	for _, tt := range []struct {
		name   string
		query  string
		status int
		words  string
	}{
		{"nothing", "", 400, "client_id is missing."},
		{"client unknown", app("client_id", "99").Encode(), 400, "The application is not known here."},
		{"client disabled", app("client_id", "3").Encode(), 400, "You cannot sign in to this application"},
		{"no redirect_uri", app("redirect_uri", "-").Encode(), 400, "redirect_uri is missing."},
		{"another origin", app("redirect_uri", "https://evil.example/cb").Encode(), 400, unregistered},
		{"host suffix", app("redirect_uri", "https://app.example.evil.example/cb").Encode(), 400, unregistered},
		{"user information", app("redirect_uri", "https://app.example@evil.example/cb").Encode(), 400, unregistered},
		{"path", app("redirect_uri", callback+"/../evil").Encode(), 400, unregistered},
		{"case", app("redirect_uri", "https://APP.example/cb").Encode(), 400, unregistered},
		{"query", app("redirect_uri", callback+"?x=1").Encode(), 400, unregistered},
		{"fragment", app("redirect_uri", callback+"#x").Encode(), 400, unregistered},
		{"scheme-relative", app("redirect_uri", "//app.example/cb").Encode(), 400, unregistered},
		{"backslash", app("redirect_uri", `https:\\app.example/cb`).Encode(), 400, unregistered},
		{"javascript", app("redirect_uri", "javascript:alert(1)").Encode(), 400, unregistered},
		{"that of another client", app("redirect_uri", "https://server.example/cb").Encode(), 400, unregistered},
		{"that of a fail_auth_url", app("redirect_uri", "https://fail.example").Encode(), 400, unregistered},
		{"loopback of another path", app("redirect_uri", "http://127.0.0.1:1/other").Encode(), 400, unregistered},
		{"loopback with a port that is none", app("redirect_uri", "http://127.0.0.1:99999/callback").Encode(), 400, unregistered},
		{"a second redirect_uri", app().Encode() + "&redirect_uri=https%3A%2F%2Fevil.example", 400, "redirect_uri is there more than once."},
		{"the same redirect_uri again", app().Encode() + "&redirect_uri=" + url.QueryEscape(callback), 400, "redirect_uri is there more than once."},
		{"a second client_id, spelled otherwise", app().Encode() + "&client%5fid=2", 400, "client_id is there more than once."},
		{"a handle that is none", app("handle", "x").Encode(), 400, "The link was changed on its way, or is not one of ours."},
		{"a state that is too long, and no redirect_uri", app("state", strings.Repeat("x", 16<<10+1), "redirect_uri", "-").Encode(), 400, "state is longer than 16384 bytes."},
		{"a max_age of another's client", app("max_age", "-1", "client_id", "99").Encode(), 400, "The application is not known here."},
		{"a max_age to nowhere", app("max_age", "-1", "redirect_uri", "https://evil.example").Encode(), 400, unregistered},
		{"a handle and a max_age that is none", app("handle", "x", "max_age", "-1").Encode(), 400, "max_age should be a number of seconds."},
		{"Class24 a query that is too long", strings.Repeat("x", 32<<10+1), 400, "The parameters are too long."},
	} {
		t.Run(tt.name, func(t *testing.T) { wantPage(t, w.Get("/oauth2/authorize?"+tt.query, cookie), tt.status, tt.words) })
	}
}

func TestErrorsGoToTheRegisteredRedirectURI(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, tt := range []struct {
		name   string
		query  url.Values
		code   string
		prefix string
	}{
		{"no response_type", app("response_type", "-"), "invalid_request", callback + "?"},
		{"response_type that there is not", app("response_type", "code id_token"), "unsupported_response_type", callback + "?"},
		{"tokens are for licensed software", app("response_type", "id_token token"), "unauthorized_client", callback + "#"},
		{"an ID token alone, too", app("response_type", "id_token"), "unauthorized_client", callback + "#"},
		{"response_mode", app("response_mode", "fragment"), "invalid_request", callback + "?"},
		{"request", app("request", "e30.e30."), "request_not_supported", callback + "?"},
		{"request_uri", app("request_uri", "https://app.example/r"), "request_uri_not_supported", callback + "?"},
		{"prompt that there is not", app("prompt", "create"), "invalid_request", callback + "?"},
		{"prompt none and another", app("prompt", "none login"), "invalid_request", callback + "?"},
		{"Class13 no challenge", app("code_challenge", "-", "code_challenge_method", "-"), "invalid_request", callback + "?"},
		{"Class13 empty challenge", app("code_challenge", "", "code_challenge_method", ""), "invalid_request", callback + "?"},
		{"Class13 plain", app("code_challenge_method", "plain"), "invalid_request", callback + "?"},
		{"Class13 no method, which means plain", app("code_challenge_method", "-"), "invalid_request", callback + "?"},
		{"Class13 a challenge that is none", app("code_challenge", "x"), "invalid_request", callback + "?"},
		{"Class13 plain, with a secret", server("code_challenge_method", "plain"), "invalid_request", "https://server.example/cb?"},
		{"Class26 audience of another client", app("audience", "server"), "invalid_request", callback + "?"},
		{"a redirect URI with a query", app("redirect_uri", callback+"?track=7", "response_type", "-"), "invalid_request", callback + "?track=7&"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, cookie := range map[string]string{"with a session": cookie, "without": ""} {
				a := w.authorize(tt.query, cookie)
				back := parameters(t, a.Location())
				if a.Status != http.StatusFound || !strings.HasPrefix(a.Location(), tt.prefix) || back.Get("error") != tt.code || back.Get("error_description") == "" ||
					back.Get("state") != "a state+1" || back.Get("iss") != w.URL || back.Has("code") || back.Has("access_token") {
					t.Errorf("%s: %d %s", name, a.Status, a.Location())
				}
				wantHeaders(t, a, "Cache-Control", "no-store", "Referrer-Policy", "no-referrer")
			}
		})
	}
}

func TestParametersThatCannotBeReadGoToTheClient(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, tt := range []struct{ name, query, state, description string }{
		{"max_age below zero", app("max_age", "-1").Encode(), "a state+1", "max_age should be a number of seconds."},
		{"max_age of 64 bits", app("max_age", "18446744073709551615").Encode(), "a state+1", "max_age should be a number of seconds."},
		{"auth_after that is no time", app("auth_after", "now").Encode(), "a state+1", "auth_after should be a time."},
		{"a second nonce", app().Encode() + "&nonce=x", "a state+1", "nonce is there more than once."},
		{"a second state", app().Encode() + "&state=x", "", "state is there more than once."},
		{"the same response_type again", app().Encode() + "&response_type=code", "a state+1", "response_type is there more than once."},
		{"two errors", app("max_age", "x").Encode() + "&nonce=x&state=y", "", "nonce is there more than once."},
		{"control characters", app("state", "a\r\nb").Encode(), "", "state has control characters or is not UTF-8."},
		{"not UTF-8", app().Encode() + "&login_hint=%ff", "a state+1", "login_hint has control characters or is not UTF-8."},
		{"not URL-encoded", app("state", "-").Encode() + "&state=%zz", "", "state is not URL-encoded."},
		{"Class24 a parameter that is too long", app("state", strings.Repeat("x", 16<<10+1)).Encode(), "", "state is longer than 16384 bytes."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, cookie := range []string{cookie, ""} {
				a := w.Get("/oauth2/authorize?"+tt.query, cookie)
				back := parameters(t, a.Location())
				if a.Status != http.StatusFound || !strings.HasPrefix(a.Location(), callback+"?error=invalid_request&") || back.Get("error_description") != tt.description ||
					back.Get("state") != tt.state || back.Get("iss") != w.URL || back.Has("code") {
					t.Errorf("%d %s", a.Status, a.Location())
				}
			}
		})
	}
}

func TestClass09AStateWithASemicolonIsTakenAsItIs(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	const state = "a;redirect_uri=https://evil.example;b"
	for name, a := range map[string]answer{
		"in a query": w.Get("/oauth2/authorize?"+app("state", "-").Encode()+"&state="+state, cookie),
		"in a form":  w.Get(w.Send(http.MethodPost, "/oauth2/authorize", app("state", "-").Encode()+"&state="+state, "Content-Type", form).Location(), cookie),
	} {
		if back := parameters(t, a.Location()); !strings.HasPrefix(a.Location(), callback+"?code=") || back.Get("state") != state {
			t.Errorf("%s: %d %s", name, a.Status, a.Location())
		}
	}
}

func TestAClientWithASecretMayLeavePKCEOut(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	code := w.code(cookie, server("code_challenge", "-", "code_challenge_method", "-"))
	if got := w.tokens(serverRedemption(code, "code_verifier", "-")); got.ID == "" {
		t.Error("no ID token")
	}
}

func TestWhoHasToSignInIsSentToTheHostedPage(t *testing.T) {
	w := newWorld(t)
	now := "&auth_after=" + strconv.FormatInt(start.Add(time.Hour).UnixMilli(), 10)
	cookie, sess := w.signIn(ada)
	than := "." + sess.ID()
	w.Clock.Advance(time.Hour)
	for _, tt := range []struct {
		name   string
		query  string
		cookie string
		hosted string // without what app() makes
	}{
		{"no session", app().Encode(), "", ""},
		{"a cookie that is none", app().Encode(), w.api.Cookie.Name + "=x", ""},
		{"prompt=login", app().Encode() + "&prompt=login", cookie, now + than},
		{"prompt=login without a session", app().Encode() + "&prompt=login", "", now},
		{"max_age", app().Encode() + "&max_age=60", cookie, "&auth_after=" + strconv.FormatInt(start.Add(59*time.Minute).UnixMilli(), 10) + than},
		{"max_age=0", app().Encode() + "&max_age=0", cookie, now + than},
		{"select_account", app().Encode() + "&prompt=select_account", cookie, ""},
		{"consent, without a session", app().Encode() + "&prompt=consent", "", "&prompt=consent"},
		{"login and consent, spelled otherwise", app().Encode() + "&promp%74=login+consent", cookie, "&prompt=consent" + now + than},
		{"an earlier auth_after stays the only one", app().Encode() + "&auth_after=" + strconv.FormatInt(start.Add(time.Minute).UnixMilli(), 10) + than, cookie, "&auth_after=" + strconv.FormatInt(start.Add(time.Minute).UnixMilli(), 10) + than},
		{"an auth_after to come is now", app().Encode() + "&auth_after=9000000000000", cookie, now + than},
		{"other parameters stay as they are", app().Encode() + "&ui_locales=%64e&&login_hint=ada", "", "&ui_locales=%64e&login_hint=ada"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.Get("/oauth2/authorize?"+tt.query, tt.cookie)
			if want := w.URL + "/hosted?" + app().Encode() + tt.hosted; a.Status != http.StatusFound || a.Location() != want {
				t.Errorf("got  %d %s\nwant %s", a.Status, a.Location(), want)
			}
		})
	}
}

func TestTheRequestIsContentWithASessionThatBeganSince(t *testing.T) {
	w := newWorld(t)
	before, _ := w.signIn(ada)
	w.Clock.Advance(time.Minute)
	hosted := w.authorize(app("prompt", "login", "max_age", "10"), before).Location()
	w.Clock.Advance(time.Minute)
	after, _ := w.signIn(ada)
	w.Clock.Advance(time.Hour) // the user is slow
	back := "/oauth2/authorize?" + strings.TrimPrefix(hosted, w.URL+"/hosted?")
	if a := w.Get(back, after); !strings.HasPrefix(a.Location(), callback+"?code=") {
		t.Errorf("a fresh session: %d %s", a.Status, a.Location())
	}
	if a := w.Get(back, before); !strings.HasPrefix(a.Location(), w.URL+"/hosted?") {
		t.Errorf("the one from before: %d %s", a.Status, a.Location())
	}
	if a := w.authorize(app("max_age", "9223372036854775807"), before); !strings.HasPrefix(a.Location(), callback+"?code=") {
		t.Errorf("max_age of 63 bits: %d %s", a.Status, a.Location())
	}
}

func TestANodeWhoseClockIsBehindAsksOnce(t *testing.T) {
	w := newWorld(t)
	before, _ := w.signIn(ada)
	for name, cookie := range map[string]string{"who was signed in": before, "who was not": ""} {
		w.Clock.Advance(50 * time.Second) // a node that is ahead
		hosted := w.authorize(app("prompt", "login"), cookie).Location()
		w.Clock.Advance(-50 * time.Second)
		back := "/oauth2/authorize?" + strings.TrimPrefix(hosted, w.URL+"/hosted?")
		after, _ := w.signIn(ada)
		if a := w.Get(back, after); !strings.HasPrefix(a.Location(), callback+"?code=") {
			t.Errorf("%s: %d %s", name, a.Status, a.Location())
		}
		if a := w.Get(back, cookie); !strings.HasPrefix(a.Location(), w.URL+"/hosted?") {
			t.Errorf("%s, as before: %d %s", name, a.Status, a.Location())
		}
	}
}

func TestWherePromptIsNoneNothingIsShown(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	w.Clock.Advance(time.Hour)
	for _, tt := range []struct {
		name, cookie string
		query        url.Values
		code         string
	}{
		{"a session", cookie, app("prompt", "none"), ""},
		{"no session", "", app("prompt", "none"), "login_required"},
		{"a session that is too old", cookie, app("prompt", "none", "max_age", "60"), "login_required"},
		{"an application with a scheme of its own", "", app("prompt", "none", "redirect_uri", "com.example.app:/cb"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.authorize(tt.query, tt.cookie)
			if strings.HasPrefix(tt.query.Get("redirect_uri"), "com.") {
				if a.Status != http.StatusOK || !strings.Contains(a.Body, "error=login_required") {
					t.Errorf("got %d %s", a.Status, a.Body)
				}
				return
			}
			back := parameters(t, a.Location())
			if !strings.HasPrefix(a.Location(), callback+"?") || back.Get("error") != tt.code || back.Has("code") == (tt.code != "") {
				t.Errorf("got %d %s", a.Status, a.Location())
			}
		})
	}
	w.Store.Down(true)
	unknown := w.api.Cookie.Name + "=" + strings.Repeat("A", 43)
	if back := parameters(t, w.authorize(app("prompt", "none"), unknown).Location()); back.Get("error") != "server_error" {
		t.Errorf("a store that is down: %v", back)
	}
	a := w.authorize(app(), unknown)
	wantPage(t, a, http.StatusServiceUnavailable, "You have not been signed out.")
	wantHeaders(t, a, "Retry-After", "1", "Set-Cookie", "")
}

func TestAnApplicationWithASchemeOfItsOwnGetsAPage(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	a := w.authorize(app("redirect_uri", "com.example.app:/cb", "state", `"><script>`), cookie)
	for _, part := range []string{`content="0;url=com.example.app:/cb?code=`, `href="com.example.app:/cb?code=`, "state=%22%3E%3Cscript%3E&amp;iss=", "Return to <bdi>The &lt;App&gt;</bdi>"} {
		if a.Status != http.StatusOK || !strings.Contains(a.Body, part) {
			t.Errorf("%q is not in %d %s", part, a.Status, a.Body)
		}
	}
	if strings.Contains(a.Body, "<script") {
		t.Error("there is a script")
	}
	wantHeaders(t, a, "Location", "", "Cache-Control", "no-store", "Referrer-Policy", "no-referrer")
}

func TestAPostIsTurnedIntoAGetThatHasTheCookie(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, path := range []string{"/oauth2/authorize", "/oauth2/end_session"} {
		a := w.post(path, app("state", "a#b c&d"), "Origin", "https://app.example")
		if a.Status != http.StatusSeeOther || a.Location() != path+"?"+app("state", "a#b c&d").Encode() {
			t.Errorf("got %d %s", a.Status, a.Location())
		}
	}
	a := w.post("/oauth2/authorize", app())
	if back := parameters(t, w.Get(a.Location(), cookie).Location()); !back.Has("code") {
		t.Errorf("came back with %v", back)
	}
	repeated := w.Send(http.MethodPost, "/oauth2/authorize", app().Encode()+"&client_id=2", "Content-Type", form)
	wantPage(t, w.Get(repeated.Location(), cookie), http.StatusBadRequest, "client_id is there more than once.")
	wantPage(t, w.Send(http.MethodPost, "/oauth2/authorize", app().Encode(), "Content-Type", "application/json"), http.StatusBadRequest, "application/x-www-form-urlencoded")
	wantPage(t, w.Send(http.MethodPost, "/oauth2/authorize", "a=%zz", "Content-Type", form), http.StatusBadRequest, "not URL-encoded")
	wantPage(t, w.Send(http.MethodPost, "/oauth2/authorize", strings.Repeat("x", 64<<10+1), "Content-Type", form), http.StatusRequestEntityTooLarge, "The body is too large.")
}

func TestOnlyANavigationGetsACode(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	wantPage(t, w.authorize(app(), cookie, "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"), http.StatusBadRequest, "not for an image")
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		a := w.Send(method, "/oauth2/authorize?"+app().Encode(), "", "Cookie", cookie)
		if a.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, a.Status)
		}
		wantHeaders(t, a, "Allow", "GET, POST", "Location", "")
	}
	if issued := w.Audit.FilterMessage(string(oauth.CodeIssued)).Len(); issued != 0 {
		t.Errorf("%d codes were issued", issued)
	}
}

func TestTooManyCodesAreNoReasonToLoseOne(t *testing.T) {
	w := newWorld(t)
	w.Server.Limits.PerSession = 1
	cookie, _ := w.signIn(ada)
	code := w.code(cookie, app())
	a := w.authorize(app(), cookie)
	wantPage(t, a, http.StatusTooManyRequests, "There were too many sign-ins in a short time.")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if got := w.tokens(redemption(code)); got.ID == "" {
		t.Error("no ID token")
	}
}
