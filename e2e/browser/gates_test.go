package browser

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestOnThePortalsOwnOriginThereIsNoDetour(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.portal + "/welcome")
		b.at(w.portal + "/welcome")
		b.sees("Backend")

		b.open(w.portal + "/private/area?room=3")
		b.path(w.portal + "/sso/sign_in")
		b.signIn(demo.Name, demo.Password)
		b.at(w.portal + "/private/area?room=3")
		b.sees("Hello, demo")
		for _, step := range b.trail() {
			if !strings.Contains(step, w.portal) || strings.Contains(step, "/api/") || strings.Contains(step, "callback") {
				t.Errorf("the trail went through %s", step)
			}
		}
		b.forget()
		b.open(w.portal + "/private/other")
		b.at(w.portal + "/private/other")
		if len(b.trail()) != 1 {
			t.Errorf("with a session the trail was %v", b.trail())
		}
		b.open(w.portal + "/sso/sign_out")
		b.click("Sign out")
		b.sees("You’re signed out")
		b.open(w.portal + "/private/area")
		b.path(w.portal + "/sso/sign_in")
	})
}

func TestSeveralGatesOnOneSiteLetAPermittedUserThroughAll(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.shop + "/window")
	b.at(w.shop + "/window") // no gate is for it
	b.open(w.shop + "/members/office/till/1")
	b.signIn(root.Name, root.Password)
	b.at(w.shop + "/members/office/till/1")
	seen := w.backend.saw(t, w.shop, "/members/office/till/1").Header
	if seen.Get("X-SSO-User") != root.Name || seen.Get("Till-User") != root.Name {
		t.Errorf("the backend saw %q and %q", seen.Get("X-SSO-User"), seen.Get("Till-User"))
	}

	player := newTab(t)
	player.open(w.shop + "/members/list")
	player.signIn(demo.Name, demo.Password)
	player.at(w.shop + "/members/list")
	player.open(w.shop + "/members/office/plan")
	player.status(http.StatusForbidden)
	player.sees("This page is for members of staff.")
	player.open(w.shop + "/window")
	player.sees("Backend")
	if got := w.backend.saw(t, w.shop, "/window").Header.Get("X-SSO-User"); got != "" {
		t.Errorf("a path that no gate is for got the user %q", got)
	}
}

// A script of the site's own origin sends the headers, which no other could.
func TestClass03SpoofedHeadersAreScrubbedWhereNoGateIsFor(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.shop + "/window")
	b.at(w.shop + "/window")
	for _, path := range []string{"/window", "/elsewhere?x=1", "/"} {
		before := w.backend.count(w.shop, strings.Split(path, "?")[0])
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			b.do(`window.status = ''; fetch(` + quote(path) + `, {method: ` + quote(method) + `, headers: {
				"X-SSO-User": "root", "x-sso-groups": "staff", "X_SSO_User": "root", "X.SSO.Email": "root@example.com",
				"Till-User": "root", "till_user": "root", "X-Custom": "kept"}}).then(r => { window.status = String(r.status) })`)
			b.until("window.status === '200'")
			seen := w.backend.saw(t, w.shop, path)
			if seen.Method != method || seen.Header.Get("X-Custom") != "kept" {
				t.Errorf("%s %s: the backend saw %s with X-Custom %q", method, path, seen.Method, seen.Header.Get("X-Custom"))
			}
			for _, name := range slices.Collect(maps.Keys(seen.Header)) {
				folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
				if strings.HasPrefix(folded, "x-sso-") || strings.HasPrefix(folded, "till-") {
					t.Errorf("%s %s: the backend saw %s: %s", method, path, name, seen.Header.Get(name))
				}
			}
		}
		if w.backend.count(w.shop, strings.Split(path, "?")[0]) < before+3 {
			t.Errorf("%s: requests were lost", path)
		}
	}
}
