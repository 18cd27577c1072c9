package loginapi_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestWithoutASessionTheBrowserGoesToTheHostedPage(t *testing.T) {
	w := newWorld(t)
	query := game().Encode() + "&projectId=abc"
	a := w.Get(authPath+"?"+query, "")
	if a.Status != http.StatusFound {
		t.Fatal(a.Status, a.Body)
	}
	wantHeaders(t, a, "Location", issuer+"/sso/signin?"+query, "Cache-Control", "no-store", "Referrer-Policy", "no-referrer")
}

func TestWithoutASessionTheFailAuthURLIsTold(t *testing.T) {
	w := newWorld(t)
	const state = `st "&?=+ ünï`
	for requested, before := range map[string]string{
		"https://game.example/signed-out?lang=en": "https://game.example/signed-out?lang=en&",
		"https://fail.example":                    "https://fail.example?",
		"https://fail.example/any/where?x=1&":     "https://fail.example/any/where?x=1&",
	} {
		query := "trackId=7&" + game("state", state, "fail_auth_url", requested, "popup", "true").Encode()
		a := w.Get(authPath+"?"+query, "")
		location := a.Header.Get("Location")
		added, ok := strings.CutPrefix(location, before)
		if a.Status != http.StatusFound || !ok {
			t.Fatalf("%d %s", a.Status, location)
		}
		told, err := url.ParseQuery(added)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"error": "login_required", "error_code": "003-040", "state": state,
			"error_description": "There is no session. Sign in, then continue at resume.",
		} {
			if got := told.Get(name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}

		// The next URL: on the portal, with all of the request except what led here.
		resume, err := url.Parse(told.Get("resume"))
		if err != nil {
			t.Fatal(err)
		}
		if resume.Scheme+"://"+resume.Host != issuer || resume.Path != authPath {
			t.Errorf("goes on at %s", resume)
		}
		cookie, _ := w.signIn(ada)
		on := w.Get(resume.RequestURI(), cookie)
		if on.Status != http.StatusFound || !strings.HasPrefix(on.Header.Get("Location"), issuer+"/sso/widget?to=") {
			t.Errorf("resumed to %d %s", on.Status, on.Header.Get("Location"))
		}
		// Still without a session it ends at the hosted page, not here again.
		if again := w.Get(resume.RequestURI(), ""); !strings.HasPrefix(again.Header.Get("Location"), issuer+"/sso/signin?") {
			t.Errorf("without a session it goes to %s", again.Header.Get("Location"))
		}
	}
}

func TestAnEncodedFailAuthURLDoesNotComeBackInResume(t *testing.T) {
	w := newWorld(t)
	query := game().Encode() + "&fail%5Fauth%5Furl=https://fail.example/x"
	location, err := url.Parse(w.Get(authPath+"?"+query, "").Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	resume := location.Query().Get("resume")
	if location.Host != "fail.example" || strings.Contains(resume, "fail") {
		t.Errorf("%s resumes at %s", location, resume)
	}
}

func TestAPopupGoesByTheWidget(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, flag := range []string{"true", "1", "True", "TRUE"} {
		location, err := url.Parse(w.Get(authPath+"?"+game("popup", flag).Encode(), cookie).Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		to := location.Query().Get("to")
		if !strings.HasPrefix(location.String(), issuer+"/sso/widget?") || !strings.HasPrefix(to, callback+"?code=") {
			t.Errorf("popup=%s goes to %s", flag, location)
		}
	}
	a := w.Get(authPath+"?"+game("popup", "true", "state", "widget is broken").Encode(), cookie)
	wantError(t, a, 418, "004-001", "Something went wrong.")
}

func TestClass09MalformedCookiesAreNoSession(t *testing.T) {
	w := newWorld(t)
	good, _ := w.signIn(ada)
	other, _ := w.signIn(ada)
	name, token, _ := strings.Cut(good, "=")
	var hundred []string
	for range 100 {
		hundred = append(hundred, "Cookie", name+"="+strings.Repeat("A", 43))
	}
	for what, headers := range map[string][]string{
		"none":                     {},
		"empty":                    {"Cookie", name + "="},
		"no value":                 {"Cookie", name},
		"not a token":              {"Cookie", name + "=%00<>\"'"},
		"cut short":                {"Cookie", good[:len(good)-1]},
		"too long":                 {"Cookie", good + "A"},
		"padded":                   {"Cookie", good + "="},
		"other alphabet":           {"Cookie", name + "=" + strings.Repeat("+/", 21) + "A"},
		"unknown":                  {"Cookie", name + "=" + strings.Repeat("A", 43)},
		"in another case":          {"Cookie", strings.ToLower(name) + "=" + token},
		"without the prefix":       {"Cookie", strings.TrimPrefix(good, "__Host-")},
		"two that differ":          {"Cookie", good + "; " + other},
		"two that differ, apart":   {"Cookie", good, "Cookie", other},
		"quoted":                   {"Cookie", name + `="` + token + `"`},
		"huge":                     {"Cookie", name + "=" + strings.Repeat("A", 200<<10)},
		"a hundred of them":        hundred,
		"a hundred thousand bytes": {"Cookie", strings.Repeat("=;, ", 25_000)},
		"not UTF-8":                {"Cookie", name + "=\xff\xfe\x80"},
	} {
		t.Run(what, func(t *testing.T) {
			a := w.Send(http.MethodGet, authPath+"?"+game().Encode(), "", headers...)
			if a.Status != http.StatusFound || !strings.HasPrefix(a.Header.Get("Location"), issuer+"/sso/signin?") {
				t.Errorf("auth answers %d %s", a.Status, a.Header.Get("Location"))
			}
			a = w.Send(http.MethodGet, "/api/oauth2/sso?"+game().Encode(), "", headers...)
			wantError(t, a, 401, "003-040", "Unauthorized user.")
			if a = w.Send(http.MethodGet, "/api/oauth2/clear_sso", "", headers...); a.Status != http.StatusNoContent {
				t.Errorf("clear_sso answers %d %s", a.Status, a.Body)
			}
		})
	}
	hundred = append(hundred[:0], "Cookie", good)
	for range 100 {
		hundred = append(hundred, "Cookie", "another="+strings.Repeat("A", 43))
	}
	if a := w.Send(http.MethodGet, authPath+"?"+game().Encode(), "", hundred...); !strings.HasPrefix(a.Header.Get("Location"), callback) {
		t.Error("a hundred cookies of others hide the session")
	}
}

func TestAUserWhoIsGoneHasNoSession(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	w.People.Remove(ada)
	if a := w.Get(authPath+"?"+game().Encode(), cookie); !strings.HasPrefix(a.Header.Get("Location"), issuer+"/sso/signin?") {
		t.Errorf("%d %s", a.Status, a.Header.Get("Location"))
	}
	wantError(t, w.Get("/api/oauth2/sso?"+game().Encode(), cookie), 401, "003-040", "Unauthorized user.")
}

func TestAnExpiredSessionIsNone(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	w.Clock.Advance(25 * time.Hour)
	wantError(t, w.Get("/api/oauth2/sso?"+game().Encode(), cookie), 401, "003-040", "Unauthorized user.")
}

func TestAStoreThatIsDownSignsNobodyOut(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	w.Restart()
	w.Store.Down(true)
	for _, path := range []string{authPath, "/api/oauth2/sso", "/api/oauth2/clear_sso"} {
		a := w.Get(path+"?"+game().Encode(), cookie)
		wantError(t, a, 418, "004-001", "Something went wrong.")
		wantHeaders(t, a, "Retry-After", "1")
	}
	for _, line := range w.log.All() {
		if strings.Contains(line.Message+line.ContextMap()["error"].(string), strings.TrimPrefix(cookie, w.api.Cookie.Name+"=")) {
			t.Error("the log has the cookie")
		}
	}
	if w.log.Len() != 3 {
		t.Errorf("%d lines in the log", w.log.Len())
	}
	w.Store.Down(false)
	if a := w.Get(authPath+"?"+game().Encode(), cookie); !strings.HasPrefix(a.Header.Get("Location"), callback) {
		t.Errorf("afterwards: %d %s", a.Status, a.Header.Get("Location"))
	}
}

func TestABrowserThatWasLedHereTriesAgainByItself(t *testing.T) {
	w := newWorld(t)
	w.Server.Limits = codes.Limits{Lifetime: 90 * time.Second, PerSession: 1}
	cookie, _ := w.signIn(ada)
	w.code(cookie, game())
	for _, tt := range []struct {
		name, path, mode  string
		refreshes         bool
		status            int
		code, description string
	}{
		{"a navigation", authPath + "?" + game().Encode(), "navigate", true, 429, "002-058", "Too many codes are waiting to be used."},
		{"a script", authPath + "?" + game().Encode(), "cors", false, 429, "002-058", "Too many codes are waiting to be used."},
		{"a browser that does not say", authPath + "?" + game().Encode(), "", false, 429, "002-058", "Too many codes are waiting to be used."},
		{"what will not be right later either", authPath + "?" + game("state", "-").Encode(), "navigate", false, 400, "010-022", "state should have at least 8 characters."},
		{"another endpoint", "/api/oauth2/sso?" + game().Encode(), "navigate", false, 429, "002-058", "Too many codes are waiting to be used."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.Get(tt.path, cookie, "Sec-Fetch-Mode", tt.mode, "Sec-Fetch-Site", "none")
			wantError(t, a, tt.status, tt.code, tt.description)
			wantRefresh(t, a, tt.refreshes)
		})
	}
	w.Restart()
	w.Store.Down(true)
	a := w.Get(authPath+"?"+game().Encode(), cookie, "Sec-Fetch-Mode", "navigate")
	wantError(t, a, 418, "004-001", "Something went wrong.")
	wantHeaders(t, a, "Retry-After", "1")
	wantRefresh(t, a, true)
}

// wantRefresh is a few seconds later than what programs are told.
func wantRefresh(t *testing.T, a answer, want bool) {
	t.Helper()
	got := a.Header.Get("Refresh")
	if !want {
		wantHeaders(t, a, "Refresh", "")
		return
	}
	refresh, err := strconv.Atoi(got)
	after, _ := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil || refresh < after+3 || refresh > after+8 {
		t.Errorf("Refresh is %q, Retry-After %d", got, after)
	}
}

func TestClearSSOSaysNothingThatIsNotSo(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	if w.Get("/api/oauth2/sso?"+game().Encode(), cookie).Status != http.StatusOK {
		t.Fatal("no session")
	}
	w.Store.Down(true) // the session is in memory, its end cannot be written
	wantError(t, w.Get("/api/oauth2/clear_sso", cookie), 418, "004-001", "Something went wrong.")
}

func TestTooManyCodesAreTooMany(t *testing.T) {
	for what, limits := range map[string]codes.Limits{
		"of a session": {Lifetime: 90 * time.Second, PerSession: 3},
		"in all":       {Lifetime: 90 * time.Second, Capacity: 3},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.Server.Limits = limits
			cookie, _ := w.signIn(ada)
			var issued []string
			for range 3 {
				issued = append(issued, w.code(cookie, game()))
			}
			w.Clock.Advance(30*time.Second + time.Millisecond)
			for _, path := range []string{authPath, "/api/oauth2/sso"} {
				a := w.Get(path+"?"+game().Encode(), cookie)
				wantError(t, a, 429, "002-058", "Too many codes are waiting to be used.")
				wantHeaders(t, a, "Retry-After", "60")
			}
			// None was dropped, and what is redeemed makes room.
			for _, code := range issued {
				if a := w.token(redemption(code)); a.Status != http.StatusOK {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			}
			w.code(cookie, game())
			if n := w.Audit.FilterMessage(string(oauth.CodesExhausted)).Len(); n != 2 {
				t.Errorf("%d lines in the audit log", n)
			}
		})
	}
}
