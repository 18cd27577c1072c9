package browser

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// persistentGrant signs demo in on another device, for an application that stays
// signed in, and returns the refresh token of that grant.
func (w *world) persistentGrant(t *testing.T) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, w.portal+"/api/oauth2/login/token?client_id=6&scope=offline",
		strings.NewReader(`{"username":`+quote(demo.Name)+`,"password":`+quote(demo.Password)+`}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1")
	answer, err := harness.NewClient(t).Do(r)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatal(answer, err)
	}
	var tokens struct {
		Refresh string `json:"refresh_token"`
	}
	answer.JSON(t, &tokens)
	return tokens.Refresh
}

// refresh trades a refresh token.
func (w *world) refresh(t *testing.T, token string) (next string, ok bool) {
	t.Helper()
	answer := harness.NewClient(t).Post(w.portal+"/api/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"6"}, "refresh_token": {token}})
	var tokens struct {
		Refresh string `json:"refresh_token"`
	}
	answer.JSON(t, &tokens)
	return tokens.Refresh, answer.Status == http.StatusOK
}

// persistentGrantHere lets the partner stay signed in by this browser's session.
func (b *tab) persistentGrantHere(w *world) {
	b.t.Helper()
	b.open(strings.Replace(strings.Replace(popupAuth(w), "scope=email", "scope=offline", 1), "popup=true", "popup=false", 1))
	b.path(w.partner + "/oauth2/callback")
	answer := harness.NewClient(b.t).Post(w.portal+"/api/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"6"}, "redirect_uri": {w.partner + "/oauth2/callback"},
		"code": {eval[string](b, "new URL(location.href).searchParams.get('code')")}, "code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	})
	if answer.Status != http.StatusOK {
		b.t.Fatal(answer.Body)
	}
}

const staying = "Applications that stay signed in"

func TestClass16TheSessionsPageEndsWhatApplicationsGotElsewhere(t *testing.T) {
	w := onLoopback(t)
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.scripts(scripts)
			b.open(w.portal + "/sso/sign_in")
			b.signIn(demo.Name, demo.Password)
			b.sees("You’re signed in")
			thief, other := w.persistentGrant(t), w.persistentGrant(t)
			other, _ = w.refresh(t, other)
			b.open(w.portal + "/sso/sessions")
			b.sees(staying, "Partner", "Last used", "Safari on iPhone", "Sign out everywhere else")

			// The one that was last begun.
			b.click("End access")
			b.until("document.getElementsByName('access').length === 1")
			if _, ok := w.refresh(t, other); ok {
				t.Error("its refresh token counts")
			}
			if thief, _ = w.refresh(t, thief); thief == "" {
				t.Fatal("the other one ended, too")
			}
			b.click("Sign out everywhere else")
			b.until("document.getElementsByName('access').length === 0 && document.getElementsByName('end').length === 1")
			b.seesNot(staying)
			b.seesNot("Safari on iPhone")
			if _, ok := w.refresh(t, thief); ok {
				t.Error("the thief’s refresh token counts")
			}
			b.open(w.portal + "/sso/account")
			b.sees("You’re signed in", demo.Name)
		})
	}
}

func TestTheSessionsPageWithApplicationsIsAccessible(t *testing.T) {
	w := onLoopback(t)
	b := newTab(t)
	b.begin(w)
	b.persistentGrantHere(w)
	w.persistentGrant(t)
	w.refresh(t, w.persistentGrant(t))
	b.open(w.portal + "/sso/sessions")
	b.sees(staying, "Partner", "Last used", "this browser")
	b.look("sessions-with-applications")
}

// signedIn says whether anybody has a session.
func (w *world) signedIn(t *testing.T) bool {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+w.admin+"/sso/sessions", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "http://"+w.admin)
	answer, err := harness.NewClient(t).Do(r)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatal(answer, err)
	}
	return strings.TrimSpace(answer.Body) != "[]"
}

func TestClass37OnlyARegisteredSiteSignsOutByANavigation(t *testing.T) {
	inBothWorlds(t, func(t *testing.T, w *world) {
		b := newTab(t)
		clear := "location.href = " + quote(w.portal+"/api/oauth2/clear_sso")
		b.begin(w)
		b.open(w.elsewhere + "/elsewhere")
		b.at(w.elsewhere + "/elsewhere")
		b.do(clear)
		b.path(w.portal + "/sso/sign_out")
		b.sees("Sign out?", demo.Name, "Stay signed in")
		b.open(w.game + "/play")
		b.sees("Hello, demo")

		// Nor does what hides where it comes from.
		b.open(w.partner + "/try")
		b.path(w.partner + "/try")
		b.do(`const m = document.createElement("meta"); m.name = "referrer"; m.content = "no-referrer"; document.head.append(m); ` + clear)
		b.path(w.portal + "/sso/sign_out")
		b.sees("Sign out?")
		b.click("Stay signed in")
		b.path(w.portal + "/sso/account")
		b.sees("You’re signed in")

		b.open(w.partner + "/try")
		b.path(w.partner + "/try")
		b.do(clear)
		b.wait("the session to end", func() bool { return !w.signedIn(t) })
		b.path(w.partner + "/try") // 204 leads nowhere
	})
}
