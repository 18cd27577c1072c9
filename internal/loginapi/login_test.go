package loginapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const (
	loginPath = "/api/oauth2/login"
	right     = `{"username":"ada","password":"right"}`
)

// login posts credentials.
func (w *world) login(path string, query url.Values, body string, headers ...string) answer {
	w.T.Helper()
	return w.Send(http.MethodPost, path+"?"+query.Encode(), body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

func TestAPasswordGivesTheCallbackAndASession(t *testing.T) {
	w := newWorld(t)
	a := w.login(loginPath, game(), right)
	var body struct {
		URL string `json:"login_url"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	callbackURL, err := url.Parse(body.URL)
	if err != nil || !strings.HasPrefix(body.URL, callback+"?code=") || callbackURL.Query().Get("state") != "12345678" {
		t.Fatalf("login_url %q: %v", body.URL, err)
	}
	claims := w.accessToken(w.token(redemption(callbackURL.Query().Get("code"))), keys.RS256)
	if claims.Subject != ada.Subject {
		t.Errorf("the code is of %q", claims.Subject)
	}
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	if got := w.Get(authPath+"?"+game().Encode(), cookie); got.Status != http.StatusFound || !strings.HasPrefix(got.Header.Get("Location"), callback) {
		t.Errorf("with its cookie: %d %s", got.Status, got.Header.Get("Location"))
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("it may be cached")
	}
}

func TestAPasswordGivesTokensAtOnceToAPublicClient(t *testing.T) {
	w := newWorld(t)
	for name, tt := range map[string]struct {
		query   url.Values
		refresh bool
	}{
		"as games ask":               {url.Values{"client_id": {"1"}, "scope": {"offline"}}, true},
		"with a redirect URI":        {url.Values{"client_id": {"1"}, "scope": {"email"}, "redirect_uri": {callback}}, false},
		"without a scope":            {url.Values{"client_id": {"1"}}, false},
		"with all that auth takes":   {game("scope", "offline email"), true},
		"without PKCE, state or any": {url.Values{"client_id": {"5"}, "projectId": {"7"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.login(loginPath+"/token", tt.query, right)
			alg := keys.RS256
			if tt.query.Get("client_id") == "5" {
				alg = keys.ES256
			}
			claims := w.accessToken(a, alg)
			if claims.Subject != ada.Subject || claims.ClientID != tt.query.Get("client_id") || claims.Audience[0] != "game" || len(claims.Audience) != 1 {
				t.Errorf("claims %+v", claims)
			}
			if got := w.refreshToken(a) != ""; got != tt.refresh {
				t.Errorf("a refresh token: %v", got)
			}
			wantHeaders(t, a, "Cache-Control", "no-store", "Pragma", "no-cache")
		})
	}
}

func TestASignInByPasswordEndsTheSessionBefore(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	if a := w.login(loginPath, game(), right, "Cookie", cookie); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := w.Get("/api/oauth2/sso?"+game().Encode(), cookie); a.Status != http.StatusUnauthorized {
		t.Errorf("the session before: %d", a.Status)
	}
}

func TestLoginRefusesWithTheErrorsOfTheReference(t *testing.T) {
	for _, tt := range []struct {
		name        string
		query       url.Values
		body        string
		status      int
		code        string
		description string
		asked       int64 // passwords that were looked at
	}{
		{"no client", game("client_id", "-"), right, 400, "0", "client_id is missing.", 0},
		{"an unknown client", game("client_id", "99"), right, 404, "003-061", "Object not found.", 0},
		{"a disabled client", game("client_id", "3"), right, 422, "003-020", "This call is not available for the project.", 0},
		{"another's redirect URI", game("redirect_uri", "https://evil.example/cb"), right, 400, "0", "redirect_uri is not registered for this client.", 0},
		{"a short state", game("state", "1234567"), right, 400, "010-022", "state should have at least 8 characters.", 0},
		{"Class13 no PKCE", game("code_challenge", "-", "code_challenge_method", "-"), right, 400, "0", "code_challenge is missing: a public client has to use PKCE.", 0},
		{"a wrong password", game(), `{"username":"ada","password":"wrong"}`, 401, "003-001", "Wrong username or password.", 1},
		{"Class29 nobody", game(), `{"username":"nobody","password":"right"}`, 401, "003-001", "Wrong username or password.", 1},
		{"too many attempts", game(), `{"username":"limited","password":"x"}`, 429, "002-057", "Too many attempts.", 1},
		{"too many at once", game(), `{"username":"busy","password":"x"}`, 418, "004-001", "Too many sign-ins at once.", 1},
		{"no method with a password", game(), `{"username":"providers only","password":"x"}`, 422, "003-020", "This call is not available for the project: nobody signs in with a password.", 1},
		{"no user name", game(), `{"password":"right"}`, 400, "0", "username is missing.", 0},
		{"an empty password", game(), `{"username":"ada","password":""}`, 400, "0", "password is missing.", 0},
		{"a number", game(), `{"username":1,"password":"right"}`, 400, "0", "username should be a string.", 0},
		{"null", game(), `{"username":"ada","password":null}`, 400, "0", "password should be a string.", 0},
		{"nothing", game(), ``, 400, "0", badJSON, 0},
		{"no JSON", game(), `username=ada&password=right`, 400, "0", badJSON, 0},
		{"an array", game(), `[` + right + `]`, 400, "0", badJSON, 0},
		{"two objects", game(), right + right, 400, "0", badJSON, 0},
		{"half an object", game(), right[:20], 400, "0", badJSON, 0},
		{"a name twice", game(), `{"username":"ada","username":"eve","password":"right"}`, 400, "0", badJSON, 0},
		{"a name in another case", game(), `{"username":"ada","Username":"eve","password":"right"}`, 400, "0", badJSON, 0},
		{"not UTF-8", game(), "{\"username\":\"ada\xff\",\"password\":\"right\"}", 400, "0", badJSON, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.login(loginPath, tt.query, tt.body)
			wantError(t, a, tt.status, tt.code, tt.description)
			if n := w.asked.Load(); n != tt.asked {
				t.Errorf("%d passwords were looked at", n)
			}
			if want := map[string]string{"too many attempts": "90", "too many at once": "5"}[tt.name]; a.Header.Get("Retry-After") != want {
				t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
			}
		})
	}
}

const badJSON = "The body should be one JSON object in UTF-8, without duplicate names."

func TestLoginTokenIsForPublicClients(t *testing.T) {
	w := newWorld(t)
	wantError(t, w.login(loginPath+"/token", url.Values{"client_id": {"2"}}, right), 422, "003-020", "This call is for public clients; one with a secret redeems a code.")
	wantError(t, w.login(loginPath+"/token", url.Values{"client_id": {"3"}}, right), 422, "003-020", "This call is not available for the project.")
	wantError(t, w.login(loginPath+"/token", url.Values{"client_id": {"99"}}, right), 404, "003-061", "Object not found.")
	wantError(t, w.login(loginPath+"/token", url.Values{"client_id": {"1"}, "redirect_uri": {"https://evil.example/"}}, right), 400, "0", "redirect_uri is not registered for this client.")
	wantError(t, w.login(loginPath+"/token", url.Values{"client_id": {"1"}, "audience": {"server"}}, right), 400, "0", "audience is not registered for this client.")
	if n := w.asked.Load(); n != 0 {
		t.Errorf("%d passwords were looked at", n)
	}
}

func TestTheBodyIsJSONWithOrWithoutCharset(t *testing.T) {
	for contentType, ok := range map[string]bool{
		"application/json":                    true,
		"application/json; charset=utf-8":     true,
		"application/json;charset=UTF-8":      true,
		"application/json;charset=utf8":       true,
		"Application/JSON; Charset=\"utf-8\"": true,
		"application/json; charset=utf-16":    false,
		"application/json-patch+json":         false,
		"text/plain":                          false,
		"text/plain; application/json":        false,
		"application/x-www-form-urlencoded":   false,
		"multipart/form-data; boundary=x":     false,
		"":                                    false,
	} {
		t.Run(contentType, func(t *testing.T) {
			w := newWorld(t)
			a := w.Send(http.MethodPost, loginPath+"?"+game().Encode(), right, "Content-Type", contentType)
			if ok && a.Status != http.StatusOK {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			if !ok {
				wantError(t, a, 400, "0", "The body should be application/json, in UTF-8.")
			}
		})
	}
}

func TestUnknownMembersOfTheBodyAreIgnored(t *testing.T) {
	w := newWorld(t)
	body := `{"remember_me":false,"username":"ada","extra":{"username":["eve"]},"password":"right","payload":null} `
	if a := w.login("/api//oauth2/login", game("projectId", "7"), body); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestClass24TheBodyOfALoginIsBounded(t *testing.T) {
	w := newWorld(t)
	a := w.login(loginPath, game(), `{"username":"ada","password":"`+strings.Repeat("x", 64<<10)+`"}`)
	wantError(t, a, 413, "0", "The body is too large.")
	deep := `{"x":` + strings.Repeat("[", 60<<10) + `}`
	wantError(t, w.login(loginPath, game(), deep), 400, "0", badJSON)
}

// A page that could sign its visitor in as another user would learn what the
// visitor then does.
func TestClass22NoOtherSiteSignsAnybodyIn(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers []string
		ok      bool
	}{
		{"a game or launcher", nil, true},
		{"a page of the client", []string{"Origin", "https://game.example"}, true},
		{"the portal itself", []string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}, true},
		{"a page of the client, by Fetch Metadata", []string{"Origin", "https://game.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, true},
		{"another site", []string{"Origin", "https://evil.example"}, false},
		{"a page of another client", []string{"Origin", "https://older.example"}, false},
		{"no origin to speak of", []string{"Origin", "null"}, false},
		{"another site that hides its origin", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"a neighbour that hides its origin", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, false},
	} {
		for _, path := range []string{loginPath, loginPath + "/token"} {
			for _, crossSite := range []bool{false, true} {
				w := newWorld(t)
				w.api.CrossSite = crossSite
				a := w.login(path, game(), right, tt.headers...)
				if tt.ok && a.Status != http.StatusOK {
					t.Errorf("%s at %s: %d %s", tt.name, path, a.Status, a.Body)
				}
				if !tt.ok {
					wantError(t, a, 401, "010-026", "Request denied: the origin is not registered.")
					if w.asked.Load() != 0 || w.Audit.FilterMessage(string(oauth.AccessDenied)).Len() != 1 {
						t.Errorf("%s at %s: a password was looked at, or nothing was logged", tt.name, path)
					}
				}
			}
		}
	}
}

func TestTooManyCodesKeepTheSessionOfALogin(t *testing.T) {
	w := newWorld(t)
	w.Server.Limits.Capacity = 1
	if a := w.login(loginPath, game(), right); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a := w.login(loginPath, game(), right)
	if a.Status != http.StatusTooManyRequests || !strings.Contains(a.Body, `"002-058"`) || a.Header.Get("Retry-After") == "" || a.Header.Get("Set-Cookie") == "" {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Header)
	}
}

// Whatever the body is, nothing but the right name and password gives a code or
// a token, and no answer is a failure of ours.
func FuzzLoginBody(f *testing.F) {
	for _, seed := range []string{
		right, `{}`, `[]`, `null`, `"`, `{"username":"ada"}`, `{"username":"ada","password":["right"]}`, `{"username":"ada","password":"right"}x`,
		`{"username":"ada","password":"right","password":"right"}`, `{"username":"ada","password":"\ud800"}`, `{"a":{"b":[1,2,{}]},"username":"","password":""}`,
		"\xef\xbb\xbf" + right, "{\"user\\u006eame\":\"ada\",\"password\":\"right\"}", strings.Repeat("[", 100), "",
	} {
		f.Add(seed)
	}
	shared := newWorld(f)
	f.Fuzz(func(t *testing.T, body string) {
		w := *shared
		w.T = t
		for _, path := range []string{loginPath, loginPath + "/token"} {
			a := w.Direct(http.MethodPost, path, game().Encode(), body, "Content-Type", "application/json")
			var read map[string]any
			same := json.Unmarshal([]byte(body), &read) == nil && read["username"] == ada.Name && read["password"] == password
			switch {
			case a.Status == http.StatusOK && same:
			case a.Status == http.StatusTooManyRequests && same: // codes run out
			case a.Status == http.StatusBadRequest, a.Status == http.StatusUnauthorized, a.Status == http.StatusRequestEntityTooLarge:
				if !strings.HasPrefix(a.Body, `{"error":{"code":"`) {
					t.Errorf("%q: %d %s", body, a.Status, a.Body)
				}
			case strings.Contains(body, "limited"), strings.Contains(body, "busy"), strings.Contains(body, "providers"):
			default:
				t.Errorf("%q: %d %s", body, a.Status, a.Body)
			}
		}
	})
}
