package browser

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
)

// A browser sends a backslash in a query as it is.
func TestAQueryComesBackByteForByteThroughSigningIn(t *testing.T) {
	const query = `?q=\d+&path=C:\Users\ada&f=(a|b)^{c}'d'&x=100%`
	inBothWorlds(t, func(t *testing.T, w *world) {
		sent := strings.ReplaceAll(query, "'", "%27") // as browsers write it
		for name, page := range map[string]string{
			"a gate": w.game + "/explore", "the portal's own origin": w.portal + "/private/explore", "a gate with a window": w.club + "/explore",
		} {
			t.Run(name, func(t *testing.T) {
				b := newTab(t)
				b.open(page + query)
				if strings.HasPrefix(page, w.club) {
					window := b.opens(func() { b.click("Sign in") })
					window.signIn(demo.Name, demo.Password)
					window.closed()
				} else {
					b.signIn(demo.Name, demo.Password)
				}
				b.at(page + sent)
				b.sees("Hello, demo")
			})
		}
		t.Run("a form", func(t *testing.T) {
			b := newTab(t)
			b.begin(w)
			b.compose(`action="/save`+strings.ReplaceAll(query, "&", "&amp;")+`"`, `<input name="a" value="b">`)
			b.forgotten()
			b.click("Send")
			b.signIn(demo.Name, demo.Password)
			b.at(w.game + "/save" + sent)
			b.sees("Hello, demo")
		})
		t.Run("another account", func(t *testing.T) {
			b := newTab(t)
			b.open(w.staff + "/explore" + query)
			b.signIn(demo.Name, demo.Password)
			b.status(http.StatusForbidden)
			b.click("Use another account")
			b.signIn(root.Name, root.Password)
			b.at(w.staff + "/explore" + sent)
		})
	})
}

// misled is a site whose gate sees another path than browsers ask for, and a
// launcher.
func misled(t *testing.T, storage string) *harness.Caddyfile {
	t.Helper()
	c := harness.Standard(t, newBackend(t).addr)
	c.Storage = storage
	front := fmt.Sprintf("http://localhost:%d", harness.Port(t))
	c.Clients = append(c.Clients,
		harness.Application{ID: "8", Lines: "name \"Reports\"\npublic\nredirect_uri " + front + "/app/oauth2/callback"},
		harness.Application{ID: "9", Lines: "name \"Star launcher\"\npublic\nallow_no_pkce\nredirect_uri star-launcher://signed-in/cb"},
	)
	c.Sites = front + " {\nhandle_path /app/* {\nsso_gate {\nclient 8\n}\nrespond in\n}\n}\n"
	return c
}

func TestWhatPeopleMeetWhereTheyAreLost(t *testing.T) {
	c := misled(t, "memory")
	harness.Start(t, c.String())
	b := newTab(t)
	b.open(c.Portal + "/sso/none")
	b.sees("There is nothing at this address")
	b.look("nothing-here")
	b.open(c.Portal + "/api/oauth2/auth?client_id=1&response_type=code&state=12345678&redirect_uri=https://elsewhere.example/cb&audience=game&scope=")
	b.status(http.StatusBadRequest)
	b.sees("This request cannot be answered", "Reference: 0")
	b.look("loginapi-error")

	front, _, _ := strings.Cut(c.Sites, " ")
	b.open(front + "/app/reports?q=1")
	b.signIn(demo.Name, demo.Password)
	b.status(http.StatusBadRequest)
	b.sees("Signing in cannot be finished here", "redirect_uri is "+front+"/app/oauth2/callback")
	b.picture("misrouted") // axe would load the styles of the portal's origin

	// Nothing here opens the launcher, so the page stays.
	launcher := newTab(t)
	launcher.open(c.Portal + "/api/oauth2/auth?" + url.Values{
		"response_type": {"code"}, "client_id": {"9"}, "redirect_uri": {"star-launcher://signed-in/cb"}, "scope": {""}, "state": {"12345678"}, "audience": {"9"},
	}.Encode())
	launcher.signIn(demo.Name, demo.Password)
	launcher.sees("You’re signed in", "whether to open Star launcher. You can close this window afterwards.")
	launcher.look("launcher")

	// Someone who is asked once more has the name there already.
	again := newTab(t)
	again.open(c.Portal + "/sso/sign_in")
	again.signIn(demo.Name, demo.Password)
	again.sees("You’re signed in")
	again.open(c.Portal + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"9"}, "redirect_uri": {"star-launcher://signed-in/cb"}, "scope": {"openid"}, "prompt": {"login"},
	}.Encode())
	again.sees("asks you to sign in again")
	if name, focused := eval[string](again, "username.value"), eval[string](again, "document.activeElement.id"); name != demo.Name || focused != "password" {
		t.Errorf("the name is %q, and %q has the focus", name, focused)
	}
	again.look("once-more")
}

// A page of an outage leads in the end, without anybody who does anything, to the
// page that was asked for, fragment and all. No form is sent a second time.
func TestAPageOfAnOutageTriesAgainByItself(t *testing.T) {
	store := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c := misled(t, harness.OnRedis(store.URL()))
	server := harness.Start(t, c.String())
	player, visitor := newTab(t), newTab(t)
	const page = "/play?level=3#part"
	player.open(c.Gate + page)
	player.signIn(demo.Name, demo.Password)
	player.at(c.Gate + page)
	visitor.open(c.Portal + "/sso/sign_in")
	visitor.fill("username", demo.Name)
	visitor.fill("password", demo.Password)

	store.Stop()
	server.Restart() // which knows no session any more
	visitor.click("Sign in")
	visitor.status(http.StatusServiceUnavailable)
	visitor.sees("Just a moment", "You have not been signed out.", "This page tries again by itself in a few seconds.", "Try again now")
	player.do("location.reload()")
	player.status(http.StatusServiceUnavailable)
	player.sees("Just a moment", "This page tries again by itself in a few seconds.")
	player.remain()
	player.look("outage-at-a-gate")
	player.do("location.reload()")
	player.until("document.readyState === 'complete'")
	player.sees("Just a moment")
	forms := visitor.sent()

	store.Restart()
	visitor.until("!!document.getElementById('username')")
	player.at(c.Gate + page)
	player.sees("Hello, demo")
	if n := visitor.sent(); n != forms {
		t.Errorf("the form was sent %d times more", n-forms)
	}
	visitor.signIn(demo.Name, demo.Password)
	visitor.sees("You’re signed in")
}

// remain keeps a page from trying again by itself.
func (b *tab) remain() {
	b.t.Helper()
	b.do("for (let id = setTimeout(() => {}); id > 0; id--) clearTimeout(id); window.stop()")
}

// The button does at once what the page would do.
func TestTheButtonOfAnOutageKeepsTheFragment(t *testing.T) {
	store := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c := misled(t, harness.OnRedis(store.URL()))
	server := harness.Start(t, c.String())
	b := newTab(t)
	b.open(c.Gate + "/play#part")
	b.signIn(demo.Name, demo.Password)
	b.at(c.Gate + "/play#part")
	store.Stop()
	server.Restart()
	b.do("location.reload()")
	b.status(http.StatusServiceUnavailable)
	b.sees("Just a moment")
	b.remain()
	store.Restart()
	b.click("Try again now")
	b.at(c.Gate + "/play#part")
	b.sees("Hello, demo")
}
