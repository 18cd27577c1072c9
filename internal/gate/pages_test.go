package gate

import (
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// everyPage opens each kind of page that a gate can write, by name.
func everyPage(t *testing.T, f *fixture) map[string]*httptest.ResponseRecorder {
	b := f.browser()
	b.enter(demo)
	pages := map[string]*httptest.ResponseRecorder{
		"no good return":   b.open(SignInPath + "?return=elsewhere"),
		"a damaged answer": b.open("/oauth2/callback"),
		"sign out":         b.open(SignOutPath),
		"signed out": func() *httptest.ResponseRecorder {
			portal := f.browser()
			portal.origin = portalOrigin
			return portal.open(SignOutPath)
		}(),
		"unknown host": func() *httptest.ResponseRecorder {
			other := f.browser()
			other.origin = "http://other.example"
			return other.open("/")
		}(),
		"too long": f.browser().open("/" + strings.Repeat("a", maxReturn)),
	}
	f.gate.Policy.Groups = []string{"staff"}
	pages["denied"] = b.open("/")
	f.gate.Policy = Policy{Popup: true}
	pages["popup"] = f.browser().open("/")
	w := b.open(SignInPath + "?popup=nonce&return=/x")
	pages["popup done"] = b.open(b.portal(w.Header().Get("Location")))
	protects(f.gate, "/admin")
	pages["path"] = b.open("/a;b")
	f.store.Down(true)
	w = b.open("/oauth2/callback?code=x&state=x")
	f.gate.Match = nil
	other := f.browser()
	other.keep(siteOrigin, f.gate.Sites[1].Cookie.Name, strings.Repeat("A", 43))
	pages["unavailable"] = other.open("/")
	if w.Code != http.StatusBadRequest || pages["unavailable"].Code != http.StatusServiceUnavailable {
		t.Fatalf("status %d and %d", w.Code, pages["unavailable"].Code)
	}
	return pages
}

func TestClass30NoPageOfTheGateCanBeFramed(t *testing.T) {
	for name, w := range everyPage(t, newFixture(t)) {
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") ||
			w.Header().Get("X-Frame-Options") != "DENY" || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, w.Header())
		}
		if w.Code == http.StatusOK && slices.Contains([]string{"denied", "popup", "path", "unavailable", "unknown host", "too long", "no good return", "a damaged answer"}, name) {
			t.Errorf("%s is answered 200", name)
		}
	}
}

func TestClass25NoByteOfTheUpstreamStandsBesideAnAnswerOfTheGate(t *testing.T) {
	f := newFixture(t)
	for name, w := range everyPage(t, f) {
		if strings.Contains(w.Body.String(), "the upstream") {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
	f.untouched()
	b := f.browser()
	for _, path := range []string{"/", SignInPath, SignedInPath, SignOutPath, "/oauth2/callback", AssetPrefix, AssetPrefix + "x"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PROPFIND"} {
			b.do(method, path, navigation...)
			b.do(method, path)
			b.do(method, path, "Upgrade", "websocket", "Connection", "Upgrade")
			f.untouched()
		}
	}
}

func TestClass21NothingFromARequestBecomesScript(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`
	f := newFixture(t)
	mallory := demo
	mallory.Name, mallory.Email = evil, evil
	f.users[demo.Subject] = mallory
	f.gate.Client.Name = evil
	f.gate.Policy.Groups = []string{evil}
	b := f.browser()
	b.enter(mallory)
	q := "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
	bodies := map[string]string{}
	for _, path := range []string{
		"/" + q, "/?" + q, `/?'><script>`, SignInPath + "?return=" + q, SignInPath + "?return=/&popup=" + q, SignOutPath + "?return=" + q, SignOutPath,
		SignedInPath + "?return=/" + q + "&window=" + q, "/oauth2/callback?state=" + q + "&code=" + q + "&error=" + q + "&error_description=" + q, AssetPrefix + q,
		"/javascript:alert(1)", "/oauth2/" + q,
	} {
		headers := append([]string{"Referer", "javascript:alert(1)", "User-Agent", evil}, navigation...)
		bodies[path] = b.do("GET", path, headers...).Body.String()
		bodies[path+" (script)"] = b.do("GET", path, "Referer", "javascript:alert(1)", "X-Requested-With", evil).Body.String()
		f.gate.Policy.Popup = true
		bodies[path+" (popup)"] = f.browser().do("GET", path, headers...).Body.String()
		f.gate.Policy.Popup = false
	}
	for path, body := range bodies {
		for _, bad := range []string{"<script>", "<img src=x", "onerror=alert(1)>'", `href="javascript:`} {
			if strings.Contains(body, bad) && !json.Valid([]byte(body)) {
				t.Errorf("%s: %q is in %s", path, bad, body)
			}
		}
	}
	w := f.serve(func() *http.Request {
		r := b.request("/")
		r.Host = `x"><script>alert(1)</script>`
		r.Header.Set("Accept", "text/html")
		return r
	}())
	if w.Code != http.StatusMisdirectedRequest || strings.Contains(w.Body.String(), "<script>") {
		t.Errorf("a host that is none: status %d: %s", w.Code, w.Body)
	}
}

func TestAScriptIsToldWhereAPageCouldSignIn(t *testing.T) {
	f := newFixture(t)
	w := f.browser().do("POST", "/api/save", "Accept", "application/json")
	wantStatus(t, w, http.StatusUnauthorized)
	var got map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "error_description")
	if want := map[string]string{"error": "login_required", "login_url": siteOrigin + SignInPath}; !maps.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
	if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || len(h["Set-Cookie"]) > 0 {
		t.Errorf("headers %v", h)
	}
}

func TestWhoMayNotPassIsToldWhoTheyAre(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.Groups = []string{"staff", "admins"}
	b := f.browser()
	b.enter(demo)
	w := b.open("/x?y=z")
	b.want(w, http.StatusForbidden)
	for _, part := range []string{"demo@example.com", "one of these groups: staff, admins", html.EscapeString(SignInPath + "?return=%2Fx%3Fy%3Dz&switch=1"), `action="` + SignOutPath + `"`} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("%q is not in the page: %s", part, w.Body)
		}
	}
	w = b.do("GET", "/")
	b.want(w, http.StatusForbidden)
	if !strings.Contains(w.Body.String(), `"access_denied"`) {
		t.Errorf("a script got %s", w.Body)
	}
	f.untouched()

	member := demo
	member.Groups = []string{"players", "admins"} // since the user signed in
	f.users[demo.Subject] = member
	b.want(b.do("GET", "/"), http.StatusOK)
}

func TestTheFailAuthURLAloneIsLetThroughWithoutIdentity(t *testing.T) {
	f := newFixture(t)
	for _, own := range []string{"/signed-out", "/signed%2Dout"} {
		f.gate.Policy.FailAuthURL = parse(t, siteOrigin+own)
		b := f.browser()
		b.want(b.do("GET", own+"?error=login_required", "X-SSO-User", "admin"), http.StatusOK)
		if got := identityOf(f.last.Header); len(got) > 0 {
			t.Errorf("the upstream got %v", got)
		}
		b.want(b.open(own), http.StatusOK)
		b.enter(demo)
		b.want(b.open(own), http.StatusOK)
		if got := f.last.Header.Get("X-SSO-User"); got != "demo" {
			t.Errorf("with a session the upstream got X-SSO-User %q", got)
		}
	}
	f.called = 0
	f.gate.Policy.FailAuthURL = parse(t, "https://www.example/signed-out")
	b := f.browser()
	b.want(b.do("GET", "/signed-out"), http.StatusUnauthorized) // that of another site
	b.origin = httpsOrigin
	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	b.want(b.do("GET", "/signed-out"), http.StatusUnauthorized)
	f.untouched()
}

func TestAHostThatTheGateIsNotOnIsRefused(t *testing.T) {
	f := newFixture(t)
	for _, host := range []string{"", "other.example", "localhost", "localhost:80", "localhost:8082", "127.0.0.1:8081", "game.example.", "game.example:8443", "game.example.evil.test", "xgame.example", "127.0.0.1"} {
		b := f.browser()
		b.origin = "http://" + host
		b.want(b.open("/"), http.StatusMisdirectedRequest)
		b.want(b.do("GET", "/"), http.StatusMisdirectedRequest)
	}
	f.untouched()
	for _, host := range []string{"LOCALHOST:8081", "game.example:443", "Game.Example", "game.example"} {
		b := f.browser()
		b.origin = "http://" + host
		b.want(b.open("/"), http.StatusFound)
	}
}

func TestOnThePortalsOwnOriginThereIsNoDetour(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.origin = portalOrigin
	w := b.open("/x?y")
	b.want(w, http.StatusFound)
	sealed, ok := strings.CutPrefix(w.Header().Get("Location"), portalOrigin+"/sso/sign_in?return=")
	if plain, err := f.gate.Keys.Unseal(t.Context(), "return", sealed); !ok || err != nil || string(plain) != "/x?y" {
		t.Fatalf("led to %q, back to %q, %v", w.Header().Get("Location"), plain, err)
	}
	b.want(b.do("GET", "/"), http.StatusUnauthorized)
	f.untouched()
	b.signIn(demo)
	b.want(b.do("GET", "/"), http.StatusOK)
	if got := f.last.Header.Get("X-SSO-User"); got != "demo" || len(f.last.Header["Cookie"]) > 0 {
		t.Fatalf("the upstream got %v", f.last.Header)
	}
	b.want(b.do("POST", SignOutPath, "Sec-Fetch-Site", "same-origin", "Accept", "text/html"), http.StatusOK)
	b.want(b.do("GET", "/"), http.StatusUnauthorized)

	f.gate.Policy.FailAuthURL = parse(t, siteOrigin+"/signed-out")
	u := parse(t, b.open("/x").Header().Get("Location"))
	if u.Path != "/signed-out" || u.Query().Get("error") != "login_required" || !strings.HasPrefix(u.Query().Get("resume"), portalOrigin+"/sso/sign_in?return=") {
		t.Fatalf("led to %s", u)
	}
}

var nonceAttribute = regexp.MustCompile(`data-nonce="([^"]+)"`)

func TestPopupSignsInInAWindowOfItsOwn(t *testing.T) {
	for _, origin := range []string{siteOrigin, portalOrigin} {
		f := newFixture(t)
		f.gate.Policy.Popup = true
		b := f.browser()
		b.origin = origin
		w := b.open("/x?y=z")
		b.want(w, http.StatusUnauthorized)
		page := w.Body.String()
		nonce := nonceAttribute.FindStringSubmatch(page)
		if nonce == nil || !strings.Contains(page, `href="`+SignInPath+`?return=%2Fx%3Fy%3Dz"`) || !strings.Contains(page, `data-back="`+origin+`/x?y=z"`) {
			t.Fatalf("the page: %s", page)
		}
		b.want(b.do("GET", "/x"), http.StatusUnauthorized)

		w = b.open(SignInPath + "?popup=" + nonce[1] + "&return=/x")
		b.want(w, http.StatusFound)
		b.signIn(demo)
		if origin == siteOrigin {
			if q := parse(t, w.Header().Get("Location")).Query(); q.Get("popup") != "true" {
				t.Fatalf("asked for %v", q)
			}
			w = b.open(b.portal(w.Header().Get("Location")))
		} else {
			sealed := parse(t, w.Header().Get("Location")).Query().Get("return")
			back, err := f.gate.Keys.Unseal(t.Context(), "return", sealed)
			if err != nil {
				t.Fatal(err)
			}
			w = b.open(string(back))
		}
		b.want(w, http.StatusOK)
		if !strings.Contains(w.Body.String(), `data-nonce="`+nonce[1]+`"`) || !strings.Contains(w.Body.String(), `data-channel="caddy_sso"`) || !strings.Contains(w.Body.String(), `href="`+origin+`/x"`) {
			t.Fatalf("the window's page: %s", w.Body)
		}
		b.want(b.open("/x?y=z"), http.StatusOK)
	}
}

func TestAWindowWithoutASessionSignsInFirst(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.origin = portalOrigin
	b.want(b.open(SignedInPath+"?return=/x&window=n"), http.StatusFound)
	b.keep(portalOrigin, portalCookie(t).Name, strings.Repeat("A", 43))
	f.store.FailWith(errUnforeseen)
	b.want(b.open(SignedInPath+"?return=/x&window=n"), http.StatusServiceUnavailable)
	b.want(b.open(SignedInPath+"?return=/x&window="+strings.Repeat("n", 65)), http.StatusBadRequest)
	site := f.browser()
	site.want(site.open(SignedInPath+"?return=/x&window=n"), http.StatusBadRequest) // there is no such page there
}

func TestAssetsAreServedToEverybody(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.Popup = true
	b := f.browser()
	for _, match := range regexp.MustCompile(`(?:href|src)="(`+AssetPrefix+`[^"]+)"`).FindAllStringSubmatch(b.open("/").Body.String(), -1) {
		w := b.do("GET", match[1])
		b.want(w, http.StatusOK)
		if w.Body.Len() == 0 {
			t.Errorf("%s is empty", match[1])
		}
	}
	b.want(b.do("POST", AssetPrefix+"x"), http.StatusNotFound)
	f.untouched()
}

func TestARedirectURIWithoutAPathSharesTheStartPage(t *testing.T) {
	f := newFixture(t)
	uri := f.gate.Client.RedirectURIs[1]
	uri.Raw, uri.URL = httpsOrigin, parse(t, httpsOrigin)
	f.gate.Client.RedirectURIs[1] = uri
	f.use(f.gate.Client)
	b := f.browser()
	b.origin = httpsOrigin
	b.signIn(demo)
	callback := b.portal(b.open("/").Header().Get("Location"))
	if !strings.HasPrefix(callback, "/?code=") {
		t.Fatalf("the callback is %q", callback)
	}
	b.want(b.open(callback), http.StatusFound)
	b.want(b.open("/?code=theirs"), http.StatusOK)
	if f.called != 1 {
		t.Fatalf("the upstream was called %d times", f.called)
	}
}

func TestASessionsEndCancelsItsRequests(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	s := b.enter(demo)
	pass, ok := f.gate.Handle(httptest.NewRecorder(), b.request("/"))
	if !ok {
		t.Fatal("refused")
	}
	defer pass.Release()
	if err := pass.Request.Context().Err(); err != nil {
		t.Fatal(err)
	}
	if err := f.gate.Server.Sessions.End(t.Context(), s.Key()); err != nil {
		t.Fatal(err)
	}
	<-pass.Request.Context().Done()
	if err := pass.Request.Context().Err(); err == nil || pass.User.Name != "demo" {
		t.Fatalf("%v, user %v", err, pass.User)
	}
}
