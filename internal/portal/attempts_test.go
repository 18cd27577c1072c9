package portal_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/signin"
)

// guess sends wrong passwords from a browser that nobody knows.
func (f *fixture) guess(name string, times int) {
	f.t.Helper()
	for i := range times {
		if w := f.visitor().try(name, "guess "+strconv.Itoa(i)); w.Code != http.StatusUnauthorized {
			f.t.Fatalf("guess %d of %q: status %d", i+1, name, w.Code)
		}
	}
}

func TestClass18ANameHasOneCountHoweverItIsSpelled(t *testing.T) {
	for name, spellings := range map[string][]string{
		"case":                     {"demo", "DEMO", "Demo", "dEmO"},
		"case of the e-mail":       {"Demo@Example.COM", "demo@example.com", "DEMO@EXAMPLE.COM"},
		"spaces around":            {"demo", " demo", "demo\t"},
		"full-width letters":       {"demo", "ｄｅｍｏ", "ＤＥＭＯ"},
		"what cannot be seen":      {"demo", "demo\u200b", "\ufeffdemo", "de\u00admo"},
		"an unknown user, in case": {"nobody", "NOBODY", " nobody ", "ｎｏｂｏｄｙ", "nobody\u200b"},
		"an unknown e-mail":        {"nobody@example.com", "Nobody@Example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for i := range 5 {
				f.guess(spellings[i%len(spellings)], 1)
			}
			for _, s := range spellings {
				w := f.visitor().try(s, "demo password")
				want(t, w, http.StatusTooManyRequests)
				wantText(t, w, "Too many attempts")
				if seconds, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || seconds < 1 || seconds > 180 {
					t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
				}
			}
			if made := f.work.Take(); len(made) != 2*5 {
				t.Errorf("%d hashes were compared, expected two for each of the five that were let through", len(made))
			}
		})
	}
}

func TestWhatIsUsedUpComesBackEvenly(t *testing.T) {
	f := newFixture(t)
	f.guess("demo", 5)
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
	f.clock.Advance(179 * time.Second)
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
	f.clock.Advance(time.Second)
	f.guess("demo", 1)
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
	f.clock.Advance(15 * time.Minute)
	f.guess("demo", 5)
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
}

func TestClass18AnAddressHasACountOfItsOwn(t *testing.T) {
	for name, test := range map[string]struct {
		addresses []string
		other     string
	}{
		"IPv4":                      {[]string{"192.0.2.1"}, "192.0.2.2"},
		"an IPv6 /64":               {[]string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:0DB8::3"}, "2001:db8:0:1::1"},
		"IPv4 in IPv6":              {[]string{"192.0.2.1", "::ffff:192.0.2.1"}, "::ffff:192.0.2.2"},
		"IPv6 with a zone":          {[]string{"fe80::1%eth0", "fe80::1%eth1"}, "192.0.2.1"},
		"what is no address is one": {[]string{""}, "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for i := range 100 {
				f.from = oauth.Origin(test.addresses[i%len(test.addresses)])
				f.guess(fmt.Sprintf("user %d", i), 1)
			}
			want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
			f.from = oauth.Origin(test.other)
			want(t, f.visitor().try("demo", "demo password"), http.StatusOK)
		})
	}
}

func TestClass18AnotherClientLocksOutNoBrowserThatSignedInBefore(t *testing.T) {
	f := newFixture(t)
	known := f.visitor()
	want(t, known.try("demo", "demo password"), http.StatusOK)
	want(t, known.do("POST", portal.SignOutPath, nil, sameOrigin...), http.StatusOK)
	f.guess("demo", 5)
	f.guess("demo@example.com", 5)
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
	want(t, known.try("demo@example.com", "demo password"), http.StatusOK)

	// Its own failures count, and only for the account that it knows.
	for range 10 {
		want(t, known.try("demo", "wrong"), http.StatusUnauthorized)
	}
	want(t, known.try("demo", "demo password"), http.StatusTooManyRequests)
	f.guess("ann", 5)
	want(t, known.try("ann", "ann password"), http.StatusTooManyRequests)
}

func TestARightPasswordCostsNoAttempt(t *testing.T) {
	f := newFixture(t)
	f.guess("demo", 4)
	for range 20 {
		want(t, f.visitor().try("demo", "demo password"), http.StatusOK)
	}
	f.guess("demo", 1)
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
}

func TestAFailureOfOursCostsNoAttempt(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	for range 20 {
		in := b.form(b.open(portal.SignInPath))
		f.store.Down(true)
		want(t, b.submit(in, "demo", "demo password"), http.StatusServiceUnavailable)
		f.store.Down(false)
	}
	f.work.Err = faultystore.ErrDown
	for range 20 {
		want(t, b.try("demo", "demo password"), http.StatusServiceUnavailable)
	}
	f.work.Err = nil
	want(t, b.try("demo", "demo password"), http.StatusOK)
}

func TestGuessingAtOnceGainsNothing(t *testing.T) {
	f := newFixture(t)
	forms := make([]func() int, 40)
	for i := range forms {
		b := f.visitor()
		in := b.form(b.open(portal.SignInPath))
		forms[i] = func() int { return b.submit(in, "demo", "wrong").Code }
	}
	var all sync.WaitGroup
	for _, submit := range forms {
		all.Go(func() { submit() })
	}
	all.Wait()
	if made := len(f.work.Take()); made > 2*5 {
		t.Fatalf("%d hashes were compared", made)
	}
}

// A reload hands the same counts another policy.
func TestAReloadKeepsTheCountsAndChangesTheLimits(t *testing.T) {
	f := newFixture(t)
	f.guess("demo", 5)
	reloaded := newFixture(t)
	reloaded.hosted.Attempts = f.hosted.Attempts
	f = reloaded
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
	f.hosted.Limits.Every = 15 * time.Second
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
	f.clock.Advance(3 * time.Second)
	want(t, f.visitor().try("demo", "demo password"), http.StatusOK)

	f.hosted.Limits = signin.AttemptLimits{PerAccount: 4, PerAddress: 100, Every: 15 * time.Minute}
	f.clock.Advance(time.Hour)
	f.guess("demo", 2)
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
}

func TestClass24UnauthenticatedRequestsFillNoMemory(t *testing.T) {
	f := newFixture(t)
	f.guess(strings.Repeat("x", 100_000), 5)
	want(t, f.visitor().try(strings.Repeat("x", 100_000), "x"), http.StatusTooManyRequests)
	if keys := f.hosted.Methods.PasswordMethods(nil).Spellings(strings.Repeat("x", 100_000)); len(keys) != 1 || len(keys[0]) > 300 {
		t.Errorf("keys %.100q", keys)
	}
	now, allowance := time.Unix(1e9, 0), signin.AttemptLimits{PerAccount: 1, PerAddress: 5, Every: time.Hour}
	a := attemptlimit.New()
	for i := range 1000 {
		if done, _ := limits.Begin(allowance, a, now, limits.Attempt{Names: []string{strconv.Itoa(i)}, Address: "192.0.2.1"}); done != nil {
			done(now, true)
		}
	}
	if n := a.Len(); n != 1+5 {
		t.Errorf("one address made %d buckets", n)
	}
	allowance.PerAddress = 1
	for i := range attemptlimit.MaxKeys {
		if done, _ := limits.Begin(allowance, a, now, limits.Attempt{Names: []string{strconv.Itoa(i)}, Address: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}); done != nil {
			done(now, true)
		}
	}
	if n := a.Len(); n > attemptlimit.MaxKeys {
		t.Errorf("%d buckets", n)
	}
}
