package portal_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
)

// collect signs in by n browsers that had no cookie, and signs out again.
func (f *fixture) collect(n int, name, password string) []*visitor {
	f.t.Helper()
	all := make([]*visitor, n)
	for i := range all {
		all[i] = f.visitor()
		want(f.t, all[i].try(name, password), http.StatusOK)
		delete(all[i].cookies, f.hosted.Session.Name)
	}
	return all
}

// guessing has each browser guess until it is stopped, and counts what was told.
func (f *fixture) guessing(browsers []*visitor, name string) (told int) {
	f.t.Helper()
	for _, b := range browsers {
		for range 2 * f.hosted.Limits.PerAccount {
			w := b.try(name, "a guess")
			if w.Code == http.StatusTooManyRequests {
				break
			}
			want(f.t, w, http.StatusUnauthorized)
			told++
		}
	}
	return told
}

func TestClass36CookiesOfAPasswordThatWasChangedGiveNoGuesses(t *testing.T) {
	f := newFixture(t)
	cookies := f.collect(60, "demo", "demo password")
	f.become(local.Account{Name: "demo", Hash: f.work.Hash(t, 10, "another"), Email: "demo@example.com"})
	if told := f.guessing(cookies, "demo"); told > 5 {
		t.Errorf("%d guesses, and a browser without a cookie has 5", told)
	}
	// Who knows the new one has a browser that is known again.
	owner := cookies[0]
	f.from = "192.0.2.2"
	want(t, owner.try("demo@example.com", "another"), http.StatusOK)
	want(t, owner.try("demo", "another"), http.StatusOK)
}

func TestClass36OneAddressHasSoManyGuessesHoweverManyCookies(t *testing.T) {
	for name, c := range map[string]struct {
		accounts []string
		limit    int
	}{
		"at one account":    {[]string{"demo"}, 10},
		"at three accounts": {[]string{"demo", "Ann", "costly"}, 12},
	} {
		f := newFixture(t)
		f.hosted.Limits.PerAddress = 12
		told, cookies := 0, map[string][]*visitor{}
		for _, account := range c.accounts {
			cookies[account] = f.collect(20, account, strings.ToLower(account)+" password")
		}
		for _, account := range c.accounts {
			told += f.guessing(cookies[account], account)
		}
		if told != c.limit {
			t.Errorf("%s: %d guesses, want %d", name, told, c.limit)
		}
	}
}

func TestClass36AKnownBrowserCountsAtItsAddressWhichDoesNotKeepItOut(t *testing.T) {
	f := newFixture(t)
	f.hosted.Limits.PerAddress = 8
	known := f.collect(1, "demo", "demo password")
	if told := f.guessing(known, "demo"); told != 8 {
		t.Errorf("%d guesses", told)
	}
	want(t, f.visitor().try("Ann", "ann password"), http.StatusTooManyRequests)
	f.clock.Advance(f.hosted.Limits.Every)

	// The reverse: an office in which other clients guess.
	for i := range 8 {
		f.guess(fmt.Sprint("someone ", i), 1)
	}
	want(t, f.visitor().try("Ann", "ann password"), http.StatusTooManyRequests)
	want(t, known[0].try("demo", "a typo"), http.StatusUnauthorized)
	want(t, known[0].try("demo", "demo password"), http.StatusOK)
}

func TestClass36ACookieWithoutAMarkIsThatOfNoKnownBrowser(t *testing.T) {
	f := newFixture(t)
	u, _ := f.hosted.Methods[0].(*local.Method).Find("demo")
	plain, err := json.Marshal(map[string]any{"i": "an-id", "k": []string{u.Subject}})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := f.hosted.Keys.Seal(t.Context(), portal.DeviceLabel, plain)
	if err != nil {
		t.Fatal(err)
	}
	old := f.visitor()
	old.cookies[f.hosted.Browser.Name] = sealed
	if told := f.guessing([]*visitor{old}, "demo"); told != 5 {
		t.Errorf("%d guesses", told)
	}
	// It is the browser that it was, all the same.
	if b := f.cookie(old); b.ID != "an-id" {
		t.Errorf("it became %+v", b)
	}
}

// cookie is what the cookie of a browser says.
func (f *fixture) cookie(v *visitor) (b portal.KnownDevice) {
	f.t.Helper()
	plain, err := f.hosted.Keys.Unseal(f.t.Context(), portal.DeviceLabel, v.cookies[f.hosted.Browser.Name])
	if err == nil {
		err = json.Unmarshal(plain, &b)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func TestClass36ASignInAtAProviderGivesNoGuessesAtThePassword(t *testing.T) {
	f := newAtProvider(t, linking)
	b := f.signsIn(verifiedAs("demo@example.com"))
	if f.who(b.session()) != "demo" {
		t.Fatal("she is not signed in")
	}
	if told := f.guessing([]*visitor{b}, "demo"); told != 5 {
		t.Errorf("%d guesses", told)
	}
}

func TestClass36ABackendsUserIsKnownForThirtyDays(t *testing.T) {
	f, own := newFixture(t), remotetest.NewBackend(t)
	f.use(own.Method("accounts", time.Minute))
	own.Says(http.StatusOK, `{"user":{"subject":"17"}}`)
	cookies := f.collect(2, "zoe", "of before")
	for body, beyond := range map[string]int{
		remotetest.WrongPassword:    5,
		`{"user":{"subject":"17"}}`: 5,
	} {
		own.Says(http.StatusUnauthorized, body)
		f.clock.Advance(f.hosted.Limits.Every)
		if told := f.guessing(cookies[:1], "zoe"); told != 10 {
			t.Errorf("%s: %d guesses on the first day", body, told)
		}
		long := f.clock.Now()
		f.clock.Advance(portal.UnmarkedLifetime)
		if told := f.guessing(cookies, "zoe"); told != beyond {
			t.Errorf("%s: %d guesses after a month", body, told)
		}
		f.clock.Ms.Store(long.UnixMilli())
		f.hosted.Attempts = newFixture(t).hosted.Attempts
	}
}

func TestClass36ABackendThatSaysWhenThePasswordChangedMakesCookiesOfBeforeWorthNothing(t *testing.T) {
	f, own := newFixture(t), remotetest.NewBackend(t)
	f.use(own.Method("accounts", time.Minute))
	f.hosted.Limits.PerAddress = 1000
	user := func(credential string) string {
		return `{"user":{"subject":"17","credential":"` + credential + `"}}`
	}
	own.Says(http.StatusOK, user("first"))
	cookies := f.collect(30, "zoe", "of before")
	own.Says(http.StatusUnauthorized, user("second"))
	for i, b := range cookies { // each at an address of its own
		f.from = oauth.Origin(fmt.Sprint("198.51.100.", i))
		want(t, b.try("zoe", "a guess"), http.StatusUnauthorized)
	}
	own.Says(http.StatusOK, user("second"))
	want(t, cookies[0].try("zoe", "the right one"), http.StatusUnauthorized) // they had the 10 of all other clients
	f.clock.Advance(f.hosted.Limits.Every)
	owner := f.collect(1, "zoe", "the right one")[0]
	own.Says(http.StatusUnauthorized, user("second"))
	f.guessing(cookies, "zoe")
	f.from = "192.0.2.2"
	own.Says(http.StatusOK, user("second"))
	want(t, owner.try("zoe", "the right one"), http.StatusOK)
}
