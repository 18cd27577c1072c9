package browser

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestTheWholeFlowFromTheGateToTheBackendAndOut(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		const asked = "/play/level%203?seed=4&name=a%2Fb&empty="
		b.open(w.game + asked)
		b.path(w.portal + "/sso/sign_in")
		b.sees("Sign in", "to continue to Demo game", "see your e-mail address")
		b.seesNot("stay signed in when you are away") // offline was not asked for

		b.signIn(demo.Name, demo.Password)
		b.at(w.game + asked)
		b.sees("Hello, demo, at " + asked)
		seen := w.backend.saw(t, w.game, asked).Header
		for name, want := range map[string]string{"X-Sso-User": demo.Name, "X-Sso-Email": demo.Email, "X-Sso-Groups": "players"} {
			if got := seen.Get(name); got != want {
				t.Errorf("the backend saw %s: %q, want %q", name, got, want)
			}
		}
		if len(seen.Get("X-Sso-Subject")) != 36 {
			t.Errorf("the backend saw the subject %q, want a UUID", seen.Get("X-Sso-Subject"))
		}
		if got := seen.Get("Cookie"); got != "" {
			t.Errorf("the backend saw the cookies %q", got)
		}
		want := []string{
			"302 " + w.game + "/play/level%203", "302 " + w.portal + "/api/oauth2/auth", "200 " + w.portal + "/sso/sign_in",
			"200 " + w.portal + "/sso/sign_in", "302 " + w.portal + "/api/oauth2/auth", "302 " + w.game + "/oauth2/callback",
			"200 " + w.game + "/play/level%203",
		}
		if !slices.Equal(b.trail(), want) {
			t.Errorf("the trail was\n%s\nwant\n%s", strings.Join(b.trail(), "\n"), strings.Join(want, "\n"))
		}

		// Another site needs no password.
		other := b.profile.tab()
		other.open(w.shop + "/members/list")
		other.at(w.shop + "/members/list")
		other.sees("Hello, demo")

		b.click("Sign out")
		b.path(w.portal + "/sso/sign_out")
		b.sees("You’re signed out")

		b.open(w.game + asked)
		b.path(w.portal + "/sso/sign_in")
		b.sees("to continue to Demo game")
		other.open(w.shop + "/members/list")
		other.path(w.portal + "/sso/sign_in")
	})
}

func TestSigningInAgainAfterSigningOutLeadsBackToTheApplication(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.game + "/play")
		b.signIn(demo.Name, demo.Password)
		b.at(w.game + "/play")
		b.click("Sign out")
		b.sees("You’re signed out")
		b.click("Sign in again")
		b.path(w.portal + "/sso/sign_in")
		b.sees("to continue to Demo game")
		b.signIn(demo.Name, demo.Password)
		b.at(w.game + "/")
	})
}

func TestCookiesOfHTTPSOriginsAreSecureAndHaveTheHostPrefix(t *testing.T) {
	w := withTLS(t)
	b := newTab(t)
	b.open(w.game + "/play")
	b.signIn(demo.Name, demo.Password)
	b.at(w.game + "/play")
	kinds := map[string]bool{}
	for _, c := range b.profile.cookies() {
		if !strings.HasPrefix(c.Name, "__Host-caddy_sso_") || !c.Secure || !c.HTTPOnly || c.SameSite != "Lax" || c.Path != "/" || strings.HasPrefix(c.Domain, ".") {
			t.Errorf("cookie %s: Secure %v, HttpOnly %v, SameSite %s, Path %s, Domain %s", c.Name, c.Secure, c.HTTPOnly, c.SameSite, c.Path, c.Domain)
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(c.Name, "__Host-caddy_sso_"), "_")
		kinds[c.Domain+" "+kind] = true
	}
	for _, want := range []string{"login.portal.test session", "login.portal.test browser", "game.site.test site", "game.site.test gate"} {
		if !kinds[want] {
			t.Errorf("there is no cookie %s; there are %v", want, kinds)
		}
	}
}

func TestCookiesOfLoopbackOriginsAreHttpOnlyAndHaveNamesOfTheirOwn(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	for _, site := range []string{w.game, w.shop + "/members", w.staff} {
		b.open(site + "/x")
		if site == w.game {
			b.signIn(demo.Name, demo.Password)
		}
		b.at(site + "/x")
	}
	names := map[string]bool{}
	for _, c := range b.profile.cookies() {
		if !strings.HasPrefix(c.Name, "caddy_sso_") || c.Secure || !c.HTTPOnly || c.SameSite != "Lax" || names[c.Name] {
			t.Errorf("cookie %s: Secure %v, HttpOnly %v, SameSite %s, twice: %v", c.Name, c.Secure, c.HTTPOnly, c.SameSite, names[c.Name])
		}
		names[c.Name] = true
	}
	if len(names) != 2+3*3 { // session and browser; site, gate and visitor three times
		t.Errorf("there are the cookies %v", names)
	}
}

func TestBackAndReloadAfterSigningInAreNoErrorAndEndNoSession(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		b.open(w.game + "/play?level=3")
		b.signIn(demo.Name, demo.Password)
		b.at(w.game + "/play?level=3")
		callback := ""
		for _, d := range b.documents {
			if strings.HasPrefix(d.url, w.game+"/oauth2/callback?") {
				callback = d.url
			}
		}
		if callback == "" {
			t.Fatalf("no callback on the trail:\n%s", strings.Join(b.trail(), "\n"))
		}

		b.back()
		b.path(w.portal + "/sso/sign_in")
		b.sees("You’re signed in", "demo", "Continue to Demo game")
		b.click("Continue to Demo game")
		b.at(w.game + "/play?level=3")

		// The address of the callback again: a reload, or one restored from history.
		b.open(callback)
		b.at(w.game + "/play?level=3")
		b.sees("Hello, demo")
		b.open(w.game + "/other")
		b.at(w.game + "/other")
		b.sees("Hello, demo")
		if b.last().status != http.StatusOK {
			t.Errorf("status %d", b.last().status)
		}
	})
}
