package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// A user whose browser was sent to the Login API cannot use JSON.
func TestAnErrorOfTheLoginAPIThatAPersonMeetsIsAPage(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: "client 7 {\nname Closed\ndisabled\npublic\nredirect_uri https://closed.example/cb\n}"})
	v, portal := w.visitor(), "http://"+w.portal
	game := authorize("1", "http://"+w.site+"/oauth2/callback")
	for _, tt := range []struct {
		method, path string
		status       int
		code, says   string
	}{
		{"GET", "/api/oauth2/auth", 400, "0", "is missing"},
		{"GET", "/api/oauth2/auth?" + strings.Replace(game, "client_id=1", "client_id=99", 1), 404, "003-061", "Go back to the application"},
		{"GET", "/api/oauth2/auth?" + strings.Replace(game, "localhost", "evil.example", 1), 400, "0", "redirect_uri"},
		{"GET", "/api/oauth2/auth?" + strings.Replace(game, "state=", "state=1&x=", 1), 400, "010-022", "state"},
		{"GET", "/api/oauth2/auth?" + authorize("7", "https://closed.example/cb"), 422, "003-020", "You cannot sign in to this application"},
		{"GET", "/api/oauth2/sso?" + game, 401, "003-040", "Unauthorized user."},
		{"GET", "/api/oauth2/social/none/login_redirect?" + game, 404, "003-061", "Go back"},
		{"GET", "/api/oauth2/logout?sessions=x", 400, "0", "sessions in query"},
		{"GET", "/api/oauth2/logout?sessions=sso", 401, "003-040", "Unauthorized user"},
		{"GET", "/api/users/me", 401, "003-040", "Unauthorized user"},
		{"GET", "/api/projects/99/keys", 404, "003-019", "Project not found."},
		{"GET", "/api/oauth2/token", 405, "0", "The method is not allowed."},
		{"POST", "/api/oauth2/token", 400, "0", "should be application/x-www-form-urlencoded"},
		{"POST", "/api/oauth2/login?" + game, 400, "0", "should be application/json"},
		{"POST", "/api/oauth2/auth?" + game, 405, "0", "The method is not allowed."},
	} {
		page := v.ask(tt.method, portal+tt.path, person...)
		if page.StatusCode != tt.status || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.body, tt.says) ||
			!strings.Contains(page.body, "Reference: "+tt.code+"<") && !strings.Contains(page.body, "Reference: "+tt.code+": ") || strings.Contains(page.body, "audience is missing") || page.Header.Get("Refresh") != "" {
			t.Errorf("%s %s: %s %s", tt.method, tt.path, page.Status, page.body)
		}
		for name, headers := range map[string][]string{
			"a program":               nil,
			"a web view":              {"Accept", "text/html,application/xhtml+xml"},
			"a navigation of a frame": {"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			"a mode alone":            {"Accept", "text/html", "Sec-Fetch-Mode", "navigate"},
			"a destination alone":     {"Accept", "text/html", "Sec-Fetch-Dest", "document"},
			"a script":                {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "text/html"},
		} {
			got := v.ask(tt.method, portal+tt.path, headers...)
			if got.StatusCode != tt.status || got.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(got.body, `{"error":{"code":"`+tt.code+`","description":"`) ||
				!strings.Contains(got.body, `","details":{`) || !strings.HasSuffix(got.body, "}}}\n") {
				t.Errorf("%s, %s %s: %s %s", name, tt.method, tt.path, got.Status, got.body)
			}
			if allow := got.Header.Get("Allow"); allow != page.Header.Get("Allow") {
				t.Errorf("%s %s: a person is told that %q is allowed, others %q", tt.method, tt.path, page.Header.Get("Allow"), allow)
			}
		}
	}
	// What is no error is no page.
	if got := v.ask("GET", portal+"/api/oauth2/auth?"+game, person...); got.StatusCode != http.StatusFound {
		t.Errorf("without a session: %s", got.Status)
	}
	if got := v.ask("GET", portal+"/api/projects/1/keys", person...); got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the keys: %s", got.body)
	}
}

func TestAPersonMeetsAnOutageAsAPageThatTriesAgainByItself(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{})
	app := w.running()
	w.mustLoad(setup{storage: "storage file DIR/sso.db"}) // which closes the other store
	portal := &Portal{app: app, log: zap.NewNop()}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	for _, tt := range []struct {
		method, path string
		status       int
		refreshes    bool
	}{
		{"GET", "/api/oauth2/auth?client_id=1", http.StatusTeapot, true},
		{"GET", "/oauth2/authorize?client_id=1", http.StatusServiceUnavailable, true},
		{"GET", "/sso/sign_in?x=y", http.StatusServiceUnavailable, true},
		{"GET", "/sso/account/", http.StatusServiceUnavailable, true},
		{"POST", "/oauth2/authorize", http.StatusServiceUnavailable, false},
		{"POST", "/api/oauth2/token", http.StatusTeapot, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, strings.NewReader(""))
		for i := 0; i < len(person); i += 2 {
			r.Header.Set(person[i], person[i+1])
		}
		rec := httptest.NewRecorder()
		if err := portal.ServeHTTP(rec, r, next); err != nil {
			t.Fatal(err)
		}
		refresh, body := rec.Header().Get("Refresh"), rec.Body.String()
		if rec.Code != tt.status || !strings.Contains(body, "Just a moment") || !strings.Contains(body, "You have not been signed out.") {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, rec.Code, body)
		}
		if (refresh != "") != tt.refreshes || strings.Contains(refresh, "url") || strings.Contains(body, `id="retry"`) != tt.refreshes ||
			strings.Contains(body, "tries again by itself in a few seconds") != tt.refreshes || strings.Contains(body, "1 second") {
			t.Errorf("%s %s: Refresh is %q: %s", tt.method, tt.path, refresh, body)
		}
	}
	// A form of the hosted page leads back to that, by GET.
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sso/sign_in?x=y", strings.NewReader("username=demo"))
	rec := httptest.NewRecorder()
	if err := portal.ServeHTTP(rec, r, next); err != nil {
		t.Fatal(err)
	}
	// Where to is in no header, which an access log would have.
	if rec.Header().Get("Refresh") != "" || !strings.Contains(rec.Body.String(), `;url=/sso/sign_in?x=y"`) || !strings.Contains(rec.Body.String(), `href="/sso/sign_in?x=y"`) {
		t.Errorf("Refresh is %q: %s", rec.Header().Get("Refresh"), rec.Body)
	}
}

// An application with a scheme of its own opens beside the browser, in which the
// page that led there stays.
func TestALaunchersPageSaysThatTheWindowCanBeClosed(t *testing.T) {
	w := newWorld(t)
	w.mustLoad(setup{global: "client 7 {\nname Launcher\npublic\nredirect_uri acme-launcher://signed-in/cb http://127.0.0.1/cb\n}"})
	const closes = "Your browser may ask whether to open <strong><bdi>Launcher</bdi></strong>. You can close this window afterwards."
	for name, tt := range map[string]struct {
		redirectURI, more string
		says              bool
	}{
		"an application":              {"acme-launcher://signed-in/cb", "", true},
		"an application, in a window": {"acme-launcher://signed-in/cb", "&popup=true", true},
		"a server on this machine":    {"http://127.0.0.1:4242/cb", "", false},
	} {
		v := w.visitor()
		v.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Host != w.portal {
				return http.ErrUseLastResponse
			}
			return nil
		}
		page := v.get("http://" + w.portal + "/api/oauth2/auth?" + authorize("7", tt.redirectURI) + tt.more)
		form := url.Values{"username": {"demo"}, "password": {"demo"}}
		for _, hidden := range formHidden.FindAllStringSubmatch(page.body, -1) {
			form.Set(hidden[1], hidden[2])
		}
		done := v.send(v.request("POST", v.resolve(page, formAction.FindStringSubmatch(page.body)[1]), form.Encode()))
		if strings.Contains(tt.more, "popup") {
			done = v.get(v.resolve(done, refresh.FindStringSubmatch(done.body)[1]))
		}
		if !strings.Contains(done.body, "You’re signed in") || strings.Contains(done.body, closes) != tt.says {
			t.Errorf("%s: %s %s", name, done.Status, done.body)
		}
	}
}
