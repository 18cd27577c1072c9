package portal_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
)

// listed returns the IDs on the sessions page, this browser's first.
func listed(page string) []string {
	var ids []string
	for _, m := range regexp.MustCompile(`name="end" value="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if m[1] != portal.EndOthers {
			ids = append(ids, m[1])
		}
	}
	return ids
}

func TestTheSessionsPageListsOnesOwnAndEndsThem(t *testing.T) {
	f := newFixture(t)
	phone, desk, other := f.visitor(), f.visitor(), f.visitor()
	phone.try("demo", "demo password")
	desk.try("demo", "demo password")
	other.try("Ann", "ann password")
	foreign := listed(other.open(portal.SessionsPath).Body.String())

	w := desk.open(portal.SessionsPath)
	want(t, w, http.StatusOK)
	ids := listed(w.Body.String())
	if len(ids) != 2 || strings.Count(w.Body.String(), "this browser") != 1 {
		t.Fatalf("the page lists %d sessions: %s", len(ids), w.Body)
	}
	end := func(id string, headers ...string) int {
		return desk.do("POST", portal.SessionsPath, url.Values{"end": {id}}, headers...).Code
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		if got := end(ids[1], headers...); got != http.StatusForbidden {
			t.Errorf("another site's form: %d", got)
		}
	}
	for _, id := range append(foreign, "", "00000000", "others\x00") {
		if got := end(id, sameOrigin...); got != http.StatusSeeOther {
			t.Errorf("ending %q: %d", id, got)
		}
	}
	if f.who(phone.session()) != "demo" || f.who(other.session()) == "" {
		t.Fatal("a session ended that nobody asked to end")
	}
	if got := end(ids[1], sameOrigin...); got != http.StatusSeeOther || f.who(phone.session()) != "" || f.who(desk.session()) != "demo" {
		t.Fatalf("status %d, phone %q, desk %q", got, f.who(phone.session()), f.who(desk.session()))
	}
	phone.try("demo", "demo password")
	if got := end(portal.EndOthers, sameOrigin...); got != http.StatusSeeOther || f.who(phone.session()) != "" || f.who(desk.session()) != "demo" {
		t.Fatalf("status %d, phone %q, desk %q", got, f.who(phone.session()), f.who(desk.session()))
	}
	wantText(t, desk.do("POST", portal.SessionsPath, url.Values{"end": {listed(desk.open(portal.SessionsPath).Body.String())[0]}}, sameOrigin...), "signed out")
	if desk.session() != "" {
		t.Error("the cookie stays")
	}
}

func TestTheSessionsPageNeedsASession(t *testing.T) {
	f := newFixture(t)
	for method, do := range map[string]func() (int, string){
		"GET": func() (int, string) {
			w := f.visitor().open(portal.SessionsPath)
			return w.Code, w.Header().Get("Location")
		},
		"POST": func() (int, string) {
			w := f.visitor().do("POST", portal.SessionsPath, url.Values{"end": {portal.EndOthers}}, sameOrigin...)
			return w.Code, w.Header().Get("Location")
		},
	} {
		if code, location := do(); code != http.StatusSeeOther || location != portal.SignInPath {
			t.Errorf("%s: %d, %q", method, code, location)
		}
	}
}

func TestClass14ThePageListsNoSessionsOfAnotherPassword(t *testing.T) {
	f := newFixture(t)
	f.from = "198.51.100.7"
	before := f.visitor()
	want(t, before.try("demo", "demo password"), http.StatusOK)
	f.become(local.Account{Name: "demo", Hash: f.work.Hash(t, 10, "another")})
	f.from = "192.0.2.2"
	now := f.visitor()
	want(t, now.try("demo", "another"), http.StatusOK)
	w := now.open(portal.SessionsPath)
	if body := w.Body.String(); len(listed(body)) != 1 || strings.Contains(body, "198.51.100.7") {
		t.Errorf("the user with the name now sees the sessions of a user who had it before: %s", body)
	}
}
