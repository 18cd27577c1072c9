package browser

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// byStudio is the standard configuration beside a studio's own server, which
// signs users in by the methods that are given.
func byStudio(t *testing.T, methods func(*harness.Caddyfile, *harness.Studio)) (*harness.Caddyfile, *harness.Studio, *harness.Server) {
	t.Helper()
	c := harness.Standard(t, harness.NewBackend(t).Addr)
	s := harness.NewStudio(t, c.Portal)
	methods(c, s)
	return c, s, harness.Start(t, c.String())
}

// attempts is how many wrong passwords a name may have here: half of an account's.
const attempts = 2

// ownBackend has the studio's backend check passwords. So that pages of a backend
// that hangs are not long in coming, it is waited for but briefly.
func ownBackend(c *harness.Caddyfile, s *harness.Studio) {
	c.NoLocal = true
	c.Options += "signin local {\nattempts {\nper_account 4\nper_address 1000\nevery 15m\n}\nuser " + harness.Demo.Name + " " + hashOf(harness.Demo) + "\n}\n" + s.Backend("timeout 1s")
}

func hashOf(u harness.User) string {
	hash, err := harness.Hash(u.Password)
	if err != nil {
		panic(err) // bcrypt takes every password of these tests
	}
	return hash
}

// attempt signs in on a page that may show a problem of before, which it takes
// away first, to see the next one come.
func (b *tab) attempt(name, password string) {
	b.t.Helper()
	b.sees("Sign in")
	b.do("document.getElementById('problem')?.remove()")
	b.signIn(name, password)
}

// isAtBackend waits for the page of a backend, with an identity.
func (b *tab) isAtBackend(url string, header map[string]string) {
	b.t.Helper()
	b.at(url)
	got := eval[map[string][]string](b, "JSON.parse(document.getElementById('request').textContent).header")
	for name, want := range header {
		if value := strings.Join(got[http.CanonicalHeaderKey(name)], ","); value != want {
			b.t.Errorf("%s is %q at the backend, want %q", name, value, want)
		}
	}
}

const (
	wrong    = "User name or password is wrong"
	unasked  = "Your password could not be checked"
	tooMany  = "Too many attempts"
	noBlame  = "This does not count as an attempt."
	homePage = "/play?level=3#part"
)

func TestTheStudiosOwnBackendChecksPasswords(t *testing.T) {
	c, s, server := byStudio(t, ownBackend)
	b := newTab(t)
	b.open(c.Gate + homePage)
	b.attempt("Zoe", "wrong")
	b.sees(wrong, "Check both and try again.", "to continue to Demo game")
	b.status(http.StatusUnauthorized)
	if name := eval[string](b, "username.value"); name != "Zoe" {
		t.Errorf("the name is %q", name)
	}
	b.until("document.activeElement.id === 'password' && password.value === ''")
	b.look("sign-in-own-backend-wrong-password")

	b.attempt("Zoe", harness.StudioPassword)
	b.isAtBackend(c.Gate+homePage, map[string]string{
		"X-SSO-User": "zoe", "X-SSO-Email": "zoe@game.example", "X-SSO-Groups": "players",
	})
	subject := eval[string](b, "JSON.parse(document.getElementById('request').textContent).header['X-Sso-Subject'][0]")
	if len(subject) != 36 {
		t.Errorf("the subject is %q", subject)
	}
	for i, password := range []string{"wrong", harness.StudioPassword} {
		if q := s.Asked()[i]; q.Username != "Zoe" || q.Password != password || !net.ParseIP(q.Address).IsLoopback() {
			t.Errorf("the backend was asked %+v", q)
		}
	}

	b.open(c.Gate + "/oauth2/sign_out")
	b.click("Sign out")
	b.sees("You’re signed out")
	b.open(c.Gate + "/play")
	b.path(c.Portal + "/sso/sign_in")
	b.sees("to continue to Demo game")

	// A user of the backend with the name of a local user is not that user, and the
	// address counts only where it is verified.
	for name, user := range map[string]struct{ is, email string }{
		"max": {"max", ""}, "two": {"19", ""},
	} {
		other := newTab(t)
		other.open(c.Gate + "/")
		other.attempt(name, harness.StudioPassword)
		header := map[string]string{"X-SSO-Email": user.email, "X-SSO-Groups": ""}
		if name == "max" {
			header["X-SSO-User"] = user.is
		}
		other.isAtBackend(c.Gate+"/", header)
		if is := eval[string](other, "document.getElementById('user').textContent"); is == harness.Demo.Name {
			t.Errorf("%s became %s", name, is)
		}
	}
	// A local user's password goes to nobody else.
	local := newTab(t)
	local.open(c.Gate + "/")
	before := len(s.Asked())
	local.attempt(harness.Demo.Name, harness.Demo.Password)
	local.isAtBackend(c.Gate+"/", map[string]string{"X-SSO-User": harness.Demo.Name})
	if after := len(s.Asked()); after != before {
		t.Errorf("the studio was asked %d times about a local user", after-before)
	}
	for _, secret := range []string{harness.StudioPassword, harness.StudioSecret} {
		if lines := server.Log.Containing(secret); len(lines) > 0 {
			t.Errorf("the log has %q", lines)
		}
	}
}

func TestTheStudiosBackendMayBeTheOnlySignInMethod(t *testing.T) {
	c, s, server := byStudio(t, func(c *harness.Caddyfile, s *harness.Studio) {
		c.NoLocal, c.Options = true, c.Options+s.Backend()
	})
	b := newTab(t)
	b.open(c.Gate + homePage)
	b.attempt(harness.Demo.Name, harness.Demo.Password) // this user is not known here any more
	b.sees(wrong)
	s.Down()
	b.attempt("zoe", harness.StudioPassword)
	b.sees(unasked)
	s.Up()
	b.attempt("zoe", harness.StudioPassword)
	b.isAtBackend(c.Gate+homePage, map[string]string{"X-SSO-User": "zoe"})

	s.Down() // which does not concern a signed-in user
	b.open(c.Gate + "/again")
	b.isAtBackend(c.Gate+"/again", map[string]string{"X-SSO-User": "zoe"})
	if out := server.SSO("user", "end", "zoe"); out != "1 ended\n" {
		t.Errorf("the command said %q", out)
	}
	b.open(c.Gate + "/play")
	b.path(c.Portal + "/sso/sign_in")
}

func TestABackendThatIsDownOrHangsIsNoWrongPasswordAndCostsNoAttempt(t *testing.T) {
	for name, end := range map[string]struct{ begin, over func(*harness.Studio) }{
		"down":  {(*harness.Studio).Down, (*harness.Studio).Up},
		"hangs": {func(s *harness.Studio) { s.Hang(true) }, func(s *harness.Studio) { s.Hang(false) }},
	} {
		t.Run(name, func(t *testing.T) {
			c, s, server := byStudio(t, ownBackend)
			b := newTab(t)
			b.open(c.Gate + homePage)
			end.begin(s)
			for range attempts + 1 {
				b.attempt("zoe", harness.StudioPassword)
				b.sees(unasked, noBlame, "Try again in")
				b.seesNot(wrong)
				b.status(http.StatusServiceUnavailable)
			}
			if name := eval[string](b, "username.value"); name != "zoe" {
				t.Errorf("the name is %q", name)
			}
			b.look("sign-in-own-backend-" + name)
			if lines := server.Log.Containing("signin backend accounts"); len(lines) == 0 {
				t.Error("the log does not name the backend")
			}

			// Local users sign in meanwhile.
			local := newTab(t)
			local.open(c.Gate + "/")
			local.attempt(harness.Demo.Name, harness.Demo.Password)
			local.isAtBackend(c.Gate+"/", map[string]string{"X-SSO-User": harness.Demo.Name})

			end.over(s)
			b.attempt("zoe", "wrong")
			b.sees(wrong)
			b.attempt("zoe", harness.StudioPassword)
			b.isAtBackend(c.Gate+homePage, map[string]string{"X-SSO-User": "zoe"})
		})
	}
}

// What costs an attempt is a password that the backend found wrong: this is what
// the attempts of the test above are measured against.
func TestClass18AttemptsAtTheStudiosBackendAreLimited(t *testing.T) {
	for name, test := range map[string]struct {
		wrong  []string
		right  string
		sees   string
		status int64
		asked  int
	}{
		"one name": {[]string{"zoe", "ZOE"}, "zoe", tooMany, http.StatusTooManyRequests, attempts},
		// Anything else would tell that they are of one.
		"names of one account": {
			[]string{"zoe", "ZOE", "+420 600 000 017", "+420 600 000 017"}, "zoe@game.example", wrong, http.StatusUnauthorized, 2*attempts + 1,
		},
		"a name of nobody": {[]string{"nobody", "no.body"}, "nobody", tooMany, http.StatusTooManyRequests, attempts},
	} {
		t.Run(name, func(t *testing.T) {
			c, s, _ := byStudio(t, ownBackend)
			b := newTab(t)
			b.open(c.Gate + homePage)
			for _, typed := range test.wrong {
				b.attempt(typed, "wrong")
				b.sees(wrong)
			}
			b.attempt(test.right, harness.StudioPassword)
			b.sees(test.sees)
			b.status(test.status)
			if asked := len(s.Asked()); asked != test.asked {
				t.Errorf("the backend was asked %d times", asked)
			}
			b.attempt("max", harness.StudioPassword) // another account
			b.isAtBackend(c.Gate+homePage, map[string]string{"X-SSO-User": "max"})
		})
	}
}
