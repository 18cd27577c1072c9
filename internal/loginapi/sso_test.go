package loginapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func loginURL(t *testing.T, a answer) *url.URL {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != http.StatusOK || len(body) != 1 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	u, err := url.Parse(body["login_url"])
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestTheSessionCheckGivesTheCallbackAsData(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	a := w.Get("/api/oauth2/sso?"+game("redirect_uri", callback+"?track=7", "state", "a&b<c> 12").Encode(), cookie)
	u := loginURL(t, a)
	code := u.Query().Get("code")
	if want := `{"login_url":"` + callback + `?track=7&code=` + code + `&state=a%26b%3Cc%3E%2012"}` + "\n"; a.Body != want {
		t.Errorf("got %s want %s", a.Body, want)
	}
	wantHeaders(t, a, "Content-Type", "application/json", "Cache-Control", "no-store", "Referrer-Policy", "no-referrer",
		"X-Content-Type-Options", "nosniff", "Vary", "Origin", "Access-Control-Allow-Origin", "", "Location", "")
	if a := w.token(redemption(code, "redirect_uri", callback+"?track=7")); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestTheSessionCheckDefaultsToWhatTheClientHas(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, tt := range []struct {
		name     string
		query    url.Values
		redirect string
		form     func(string) url.Values
		alg      keys.Algorithm
		aud, scp []string
	}{
		{
			"a public client", game("redirect_uri", "-", "scope", "-", "audience", "-"), callback,
			func(c string) url.Values { return redemption(c) }, keys.RS256,
			[]string{"game"},
			[]string{"email"}, // offline has to be asked for
		},
		{
			"what is given stays", game("scope", "offline", "audience", url.QueryEscape("https://api.example/a b+c")), callback,
			func(c string) url.Values { return redemption(c) }, keys.RS256,
			[]string{"https://api.example/a b+c"},
			[]string{"offline"},
		},
		{
			"a client with a secret", backend("redirect_uri", "-", "scope", "-", "audience", "-"), "https://server.example/cb",
			func(c string) url.Values { return backendRedemption(c) }, keys.ES256,
			[]string{"server"},
			[]string{"email"},
		},
		{
			"scope * asks for nothing by itself",
			game("client_id", "4", "redirect_uri", "-", "scope", "-", "audience", "-", "code_challenge", "-", "code_challenge_method", "-"), "https://older.example/cb",
			func(c string) url.Values {
				return redemption(c, "client_id", "4", "redirect_uri", "https://older.example/cb", "code_verifier", "-")
			},
			keys.EdDSA,
			[]string{"older"},
			[]string{},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := loginURL(t, w.Get("/api/oauth2/sso?"+tt.query.Encode(), cookie))
			if !strings.HasPrefix(u.String(), tt.redirect+"?code=") {
				t.Errorf("%s", u)
			}
			claims := w.accessToken(w.token(tt.form(u.Query().Get("code"))), tt.alg)
			if !reflect.DeepEqual(claims.Audience, tt.aud) || !reflect.DeepEqual(claims.Scopes, tt.scp) {
				t.Errorf("%+v", claims)
			}
		})
	}
}

func TestTheSessionCheckRefuses(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, tt := range []struct {
		name        string
		query       url.Values
		status      int
		code        string
		description string
	}{
		{"client_id missing", game("client_id", "-"), 400, "0", "client_id is missing."},
		{"client unknown", game("client_id", "99", "redirect_uri", "-"), 404, "003-061", "Object not found."},
		{"client disabled", game("client_id", "3", "redirect_uri", "-"), 422, "003-020", "This call is not available for the project."},
		{"state missing", game("state", "-"), 400, "010-022", "state should have at least 8 characters."},
		{"response_type missing", game("response_type", "-"), 400, "0", "response_type is missing."},
		{"redirect_uri that is not registered", game("redirect_uri", "https://evil.example/"), 400, "0", "redirect_uri is not registered for this client."},
		{"no PKCE", game("code_challenge", "-", "code_challenge_method", "-"), 400, "0", "code_challenge is missing: a public client has to use PKCE."},
		{"audience that is not registered", game("audience", "evil"), 400, "0", "audience is not registered for this client."},
		{"a flag that is none", game("popup", "perhaps"), 400, "0", "popup should be true or false."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, w.Get("/api/oauth2/sso?"+tt.query.Encode(), cookie), tt.status, tt.code, tt.description)
		})
	}
	wantError(t, w.Get("/api/oauth2/sso?"+game("fail_auth_url", "https://fail.example/").Encode(), ""), 401, "003-040", "Unauthorized user.")
}

func TestOnlyRegisteredOriginsReadTheAnswers(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	ours := []string{
		"Access-Control-Allow-Credentials", "true",
		"Access-Control-Expose-Headers", "Retry-After", "Vary", "Origin",
	}
	preflight := []string{"Access-Control-Allow-Headers", "Authorization, Content-Type", "Access-Control-Max-Age", "600"}
	none := []string{
		"Access-Control-Allow-Origin", "", "Access-Control-Allow-Credentials", "", "Access-Control-Allow-Methods", "",
		"Access-Control-Allow-Headers", "", "Access-Control-Max-Age", "", "Vary", "Origin",
	}
	methods := map[string]string{"/api/oauth2/sso": "GET", "/api/oauth2/token": "POST", "/api/oauth2/clear_sso": "GET"}
	for _, origin := range []string{"https://game.example", "https://server.example", "https://older.example"} {
		for path, method := range methods {
			a := w.Send(method, path, "", "Origin", origin, "Cookie", cookie)
			wantHeaders(t, a, append(ours, "Access-Control-Allow-Origin", origin, "Access-Control-Allow-Methods", "")...)
			a = w.Send(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
			wantHeaders(t, a, append(append(ours, preflight...), "Access-Control-Allow-Origin", origin, "Access-Control-Allow-Methods", method)...)
			if a.Status != http.StatusNoContent || a.Body != "" {
				t.Errorf("the preflight of %s answers %d %s", path, a.Status, a.Body)
			}
		}
	}
	for _, origin := range []string{
		"", "null", "*", "https://evil.example", "http://game.example", "https://game.example:8443", "https://game.example.", "https://GAME.example",
		"https://game.example.evil.example", "https://evilgame.example", "https://sub.game.example", "https://game.example/", "https://fail.example",
		"https://closed.example", "http://127.0.0.1", "http://127.0.0.1:8080", "com.example.game:", "com.example.game://", issuer,
	} {
		for path, method := range methods {
			wantHeaders(t, w.Send(method, path, "", "Origin", origin), none...)
			a := w.Send(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", method)
			wantHeaders(t, a, none...)
			if a.Status != http.StatusNoContent {
				t.Errorf("the preflight of %s answers %d", path, a.Status)
			}
		}
	}
	wantHeaders(t, w.Send(http.MethodGet, authPath, "", "Origin", "https://game.example"), "Access-Control-Allow-Origin", "")
}

func TestClass37OnlyWhoAsksIsSignedOutByClearSSO(t *testing.T) {
	const (
		ends    = http.StatusNoContent
		asks    = http.StatusFound
		refuses = http.StatusUnauthorized
	)
	to := func(site, mode, dest string, more ...string) []string {
		return append([]string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode, "Sec-Fetch-Dest", dest}, more...)
	}
	for _, tt := range []struct {
		name    string
		headers []string
		lax     int // the answer
		none    int // where the cookie crosses sites
	}{
		{"a program", nil, ends, refuses},
		{"a program that takes anything", []string{"Accept", "*/*"}, ends, refuses},
		{"typed into the address bar", to("none", "navigate", "document"), ends, ends},
		{"the portal's own script", to("same-origin", "cors", "empty"), ends, ends},
		{"the portal's own script, with its origin", []string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}, ends, ends},
		{"a link on the portal's origin", to("same-origin", "navigate", "document"), ends, ends},
		{"a script of a registered origin", to("cross-site", "cors", "empty", "Origin", "https://game.example"), ends, ends},
		{"a script of a registered origin in a browser without fetch metadata", []string{"Origin", "https://game.example", "Referer", "https://game.example/"}, ends, ends},
		{"a registered origin leads here", to("cross-site", "navigate", "document", "Referer", "https://game.example/bye?x=y"), ends, ends},
		{"a registered neighbour leads here", to("same-site", "navigate", "document", "Referer", "https://game.example/"), ends, ends},
		{"a registered origin leads a browser without fetch metadata here", []string{"Accept", "text/html", "Referer", "https://game.example/"}, ends, refuses},

		{"a link on another site", to("cross-site", "navigate", "document"), asks, asks},
		{"a link on a neighbour", to("same-site", "navigate", "document"), asks, asks},
		{"a link on another site that says which", to("cross-site", "navigate", "document", "Referer", "https://evil.example/"), asks, asks},
		{"a link on a site that is called like a registered one", to("cross-site", "navigate", "document", "Referer", "https://game.example.evil.example/"), asks, asks},
		{"a registered origin in what it is not", to("cross-site", "navigate", "document", "Referer", "https://game.example@evil.example/https://game.example/"), asks, asks},
		{"a registered host by another scheme", to("cross-site", "navigate", "document", "Referer", "http://game.example/"), asks, asks},
		{"a page of a disabled client", to("cross-site", "navigate", "document", "Referer", "https://closed.example/"), asks, asks},
		{"a Referer that is none", to("cross-site", "navigate", "document", "Referer", "://"), asks, asks},
		{"a browser without fetch metadata that does not say where from", []string{"Accept", "text/html,*/*;q=0.8"}, asks, asks},
		{"another site in a browser without fetch metadata", []string{"Accept", "Text/HTML", "Referer", "https://evil.example/"}, asks, asks},
		{"an image on a neighbour in a browser without fetch metadata", []string{"Accept", "image/webp", "Referer", "https://evil.example/"}, asks, asks},
		{"a page that is loaded before it is asked for", to("none", "navigate", "document", "Sec-Purpose", "prefetch;prerender"), asks, asks},
		{"a link of the portal's origin that is loaded early", to("same-origin", "no-cors", "empty", "Sec-Purpose", "prefetch"), asks, asks},
		{"a link of a registered origin that an older browser loads early", []string{"X-Moz", "prefetch", "Referer", "https://game.example/"}, asks, asks},

		{"a script of another site", to("cross-site", "cors", "empty", "Origin", "https://evil.example"), refuses, refuses},
		{"a script of another site that wants no answer", to("cross-site", "no-cors", "empty"), refuses, refuses},
		{"a script of a registered origin that wants no answer", to("cross-site", "no-cors", "empty", "Referer", "https://game.example/"), refuses, refuses},
		{"a script of another site in a browser without fetch metadata", []string{"Origin", "https://evil.example"}, refuses, refuses},
		{"a sandbox", []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, refuses, refuses},
		{"a script of a disabled client", to("cross-site", "cors", "empty", "Origin", "https://closed.example"), refuses, refuses},
		{"the origin of a loopback registration", []string{"Origin", "http://127.0.0.1:8080", "Sec-Fetch-Site", "cross-site"}, refuses, refuses},
		{"an image on another site", to("cross-site", "no-cors", "image"), refuses, refuses},
		{"an image on a neighbour", to("same-site", "no-cors", "image"), refuses, refuses},
		{"an image on the portal's origin", to("same-origin", "no-cors", "image"), refuses, refuses},
		{"a frame on another site", to("cross-site", "navigate", "iframe"), refuses, refuses},
		{"a frame on a registered origin", to("cross-site", "navigate", "iframe", "Referer", "https://game.example/"), refuses, refuses},
		{"a frame on the portal's origin", to("same-origin", "navigate", "iframe"), refuses, refuses},
		{"a prefetch that claims a document", to("cross-site", "no-cors", "document"), refuses, refuses},
		{"a word that is not in the standard", []string{"Sec-Fetch-Site", "friendly"}, refuses, refuses},
	} {
		for crossSite, status := range map[bool]int{false: tt.lax, true: tt.none} {
			t.Run(fmt.Sprintf("%s, same_site none: %v", tt.name, crossSite), func(t *testing.T) {
				w := newWorld(t)
				w.api.CrossSite = crossSite
				cookie, sess := w.signIn(ada)
				a := w.Get("/api/oauth2/clear_sso", cookie, tt.headers...)
				if _, err := w.Server.Sessions.Lookup(t.Context(), sess.Key()); (err != nil) != (status == ends) {
					t.Errorf("the session: %v", err)
				}
				switch status {
				case refuses:
					wantError(t, a, 401, "010-026", "Request denied: the origin is not registered.")
				case asks:
					wantHeaders(t, a, "Location", issuer+"/sso/sign_out", "Set-Cookie", "", "Cache-Control", "no-store", "Referrer-Policy", "no-referrer")
				case ends:
					wantHeaders(t, a, "Cache-Control", "no-store", "Referrer-Policy", "no-referrer",
						"Set-Cookie", w.api.Cookie.Name+"=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
				}
				if a.Status != status || status != refuses && a.Body != "" {
					t.Errorf("%d %q, want %d", a.Status, a.Body, status)
				}
			})
		}
	}
}

func TestClass22WhereTheCookieCrossesSitesOnlyRegisteredOriginsAreAnswered(t *testing.T) {
	for name, headers := range map[string][]string{
		"nothing tells whose request it is": nil,
		"an image on another site":          {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
		"a script of another site":          {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.api.CrossSite = true
			cookie, _ := w.signIn(ada)
			for _, path := range []string{"/api/oauth2/sso?" + game().Encode(), "/api/oauth2/clear_sso"} {
				wantError(t, w.Get(path, cookie, headers...), 401, "010-026", "Request denied: the origin is not registered.")
			}
			if a := w.Get("/api/oauth2/sso?"+game().Encode(), cookie, "Origin", "https://game.example", "Sec-Fetch-Site", "cross-site"); a.Status != http.StatusOK {
				t.Errorf("a registered origin gets %d %s", a.Status, a.Body)
			}
		})
	}
}

func TestClass26AScriptGetsNoCodeOfAnotherClient(t *testing.T) {
	for _, crossSite := range []bool{false, true} {
		w := newWorld(t)
		w.api.CrossSite = crossSite
		cookie, _ := w.signIn(ada)
		for _, tt := range []struct {
			origin string
			query  url.Values
			status int
		}{
			{"https://game.example", game(), 200},
			{"https://older.example", game("client_id", "4", "redirect_uri", "-", "audience", "-"), 200},
			{issuer, game(), 200},
			{"https://older.example", game(), 401},
			{"https://server.example", game(), 401},
			{"https://game.example", game("client_id", "4", "redirect_uri", "-", "audience", "-"), 401},
			{"https://evil.example", game(), 401},
			{"null", game(), 401},
		} {
			a := w.Get("/api/oauth2/sso?"+tt.query.Encode(), cookie, "Origin", tt.origin, "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors")
			if tt.status == 401 {
				wantError(t, a, 401, "010-026", "Request denied: the origin is not registered.")
			} else if a.Status != tt.status {
				t.Errorf("%s: %d %s", tt.origin, a.Status, a.Body)
			}
		}
	}
}

func TestANeighbourUsesUpNobodysCodes(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, site := range []string{"same-site", "cross-site"} {
		a := w.Get("/api/oauth2/sso?"+game().Encode(), cookie, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty")
		wantError(t, a, 401, "010-026", "Request denied: the origin is not registered.")
	}
	if n := w.Audit.FilterMessage(string(oauth.CodeIssued)).Len(); n != 0 {
		t.Errorf("%d codes were issued", n)
	}
}

func TestClass16ClearSSOEndsTheSessionOfAUserWhoIsGone(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	w.People.Remove(ada)
	if a := w.Get("/api/oauth2/clear_sso", cookie); a.Status != http.StatusNoContent {
		t.Fatal(a.Status, a.Body)
	}
	w.People.Restore(ada)
	if _, err := w.Server.Sessions.Lookup(t.Context(), sess.Key()); err == nil {
		t.Error("the session came back with the user")
	}
}

func TestClass16SigningOutSpendsTheCodesOfTheSession(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	other, _ := w.signIn(session.User{Subject: "other", Name: "bob"})
	code, kept := w.code(cookie, game("scope", "offline")), w.code(other, game())
	w.Get("/api/oauth2/clear_sso", cookie)
	wantError(t, w.token(redemption(code)), 400, "010-023", badGrant)
	if a := w.token(redemption(kept)); a.Status != http.StatusOK {
		t.Errorf("another session's code: %d %s", a.Status, a.Body)
	}
	if n := w.Audit.FilterMessage(string(oauth.SessionEnded)).Len(); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
}

func TestARefusedOriginIsInTheAuditLog(t *testing.T) {
	for name, tt := range map[string]struct {
		path    string
		headers []string
		why     string
		client  any
	}{
		"a script of another origin": {"/api/oauth2/clear_sso", []string{"Origin", "https://evil.example"}, "the origin is not registered: https://evil.example", nil},
		"a script of another client": {"/api/oauth2/sso?" + game().Encode(), []string{"Origin", "https://server.example"}, "the origin is not registered: https://server.example", "1"},
		"an image":                   {"/api/oauth2/clear_sso", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, "the request came from another site, or does not say from where", nil},
		"an origin that is too long": {"/api/oauth2/clear_sso", []string{"Origin", "https://" + strings.Repeat("x", 1000)}, "the origin is not registered: (unprintable)", nil},
		"an origin that is no text":  {"/api/oauth2/clear_sso", []string{"Origin", "https://\xff\xc2\x85"}, "the origin is not registered: (unprintable)", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(ada)
			wantError(t, w.Get(tt.path, cookie, tt.headers...), 401, "010-026", "Request denied: the origin is not registered.")
			lines := w.Audit.FilterMessage(string(oauth.AccessDenied)).All()
			if len(lines) != 1 {
				t.Fatalf("%d lines", len(lines))
			}
			if got := lines[0].ContextMap(); got["why"] != tt.why || got["from"] != "192.0.2.1" || got["client"] != tt.client {
				t.Errorf("the audit log says %v", got)
			}
		})
	}
}
