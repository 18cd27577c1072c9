package portal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// answers are what other clients get told who try passwords for names, one after the
// other, on the page and by the API in turns.
func (f *fixture) answers(names []string) []string {
	f.t.Helper()
	told := make([]string, len(names))
	for i, name := range names {
		if i%2 == 0 {
			w := f.visitor().try(name, "a guess")
			told[i] = fmt.Sprint(w.Code, " ", w.Header().Get("Retry-After"))
			continue
		}
		_, refusal := f.visitor().api(name, "a guess")
		status := map[oauth.Kind]int{oauth.WrongPassword: http.StatusUnauthorized, oauth.TooManyAttempts: http.StatusTooManyRequests}[refusal.Kind]
		told[i] = fmt.Sprint(status, " ", refusal.RetryAfter)
	}
	return told
}

// spellingsOf returns spellings of a name that some programs treat as the same name.
func spellingsOf(name string) []string {
	return []string{
		name, name + "\u200b", "\ufeff" + name, " " + name + " ", strings.ToUpper(name), name[:1] + "\u00ad" + name[1:], name[:1] + "\u3164" + name[1:],
		name + "\ufe0f", wide(name), name + "\u202e", name[:1] + "." + name[1:], name[:1] + "\u0301" + name[1:], name + "+x", name + "@example.com",
		strings.ToUpper(name) + "@EXAMPLE.com", name + "\uff20example.com", name + "@ex\u00adample.com", name + "@xn--exmple-cua.com", name + "@b@example.com",
		name + "\xff", name + "\x00", name + strings.Repeat("\u200b", 100), strings.Repeat(name, 100),
	}
}

func wide(name string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r <= '~' {
			return r - '!' + '\uff01'
		}
		return r
	}, name)
}

func TestClass29NoSpellingTellsWhetherThereIsAnAccount(t *testing.T) {
	for setup, methods := range map[string]func(f *fixture) []signin.Method{
		"local users alone": func(f *fixture) []signin.Method { return f.hosted.Methods },
		"a backend beside them": func(f *fixture) []signin.Method {
			own := remotetest.NewBackend(t)
			return append(slices.Clone(f.hosted.Methods), own.Method("accounts", time.Minute))
		},
		"a backend that names its accounts": func(f *fixture) []signin.Method {
			own := remotetest.NewBackend(t)
			own.Answers(func(w http.ResponseWriter, _ *http.Request) {
				own.Mu.Lock()
				name := own.Asked[len(own.Asked)-1].Username
				own.Mu.Unlock()
				w.WriteHeader(http.StatusUnauthorized)
				if strings.HasPrefix(name, "zoey") { // of which all are one
					fmt.Fprint(w, `{"user":{"subject":"17"}}`)
					return
				}
				fmt.Fprint(w, remotetest.WrongPassword)
			})
			return []signin.Method{own.Method("accounts", time.Minute)}
		},
	} {
		f := newFixture(t)
		f.hosted.Limits.PerAddress = 1000
		f.use(methods(f)...)
		for i := range spellingsOf("demo") {
			sequence := func(name string) []string {
				f.hosted.Attempts = attemptlimit.New()
				spelled := spellingsOf(name)[i]
				names := slices.Repeat([]string{name}, 11)
				return f.answers(append(names, spelled, name+"@example.com", spelled, "another user", spelled))
			}
			there, nobody := sequence("demo"), sequence("nobo")
			if setup == "a backend that names its accounts" {
				there = sequence("zoey")
			}
			if !slices.Equal(there, nobody) {
				t.Errorf("%s: %q:\n%q of an account\n%q of nobody", setup, spellingsOf("demo")[i], there, nobody)
			}
		}
	}
}

func TestClass18NameAndEMailHaveHalfOfTheAttemptsEach(t *testing.T) {
	for perAccount, each := range map[int]int{1: 1, 2: 1, 3: 1, 5: 2, 10: 5} {
		f := newFixture(t)
		f.hosted.Limits.PerAccount = perAccount
		for _, name := range []string{"demo", "demo@example.com", "nobody", "nobody@example.com"} {
			told := f.answers(slices.Repeat([]string{name}, each+1))
			for i, a := range told {
				if want := i == each; strings.HasPrefix(a, "429") != want {
					t.Errorf("%d: %s: %q", perAccount, name, told)
				}
			}
		}
		// At once, or else by one name after the other, and the right password at last.
		f = newFixture(t)
		f.hosted.Limits.PerAccount = perAccount
		counted := 0
		for ; counted < 2*each; counted++ {
			name := []string{"demo", "demo@example.com"}[counted%2]
			if f.probe(name) != http.StatusOK {
				break
			}
			want(t, f.visitor().try(name, "a guess"), http.StatusUnauthorized)
		}
		if counted > perAccount {
			t.Errorf("%d: %d guesses count", perAccount, counted)
		}
	}
}

// probe says what the right password for demo would get, and counts for nothing
// where it is right.
func (f *fixture) probe(name string) int { return f.visitor().try(name, "demo password").Code }

func TestClass18EverySpellingOfAnAccountIsCountedByItsNameOrItsEMail(t *testing.T) {
	letters := []rune("aAbBiIkKsS19.-_@+ \u200b\u200c\u200d\u00ad\ufeff\u3164\u115f\uff41\uff21\uff20ﬁﬃßẞſσΣςİıKÅåéÉ\u0301\u0345\u0307\u00b7lLⅾᵈǅǆǄ٠۰अ\u094dकאבجᏸᏰꭰ\ufe0f\u2060\u00a0\u3000𝐚𝕒Ω①")
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // what it makes is the same each time
	name := func() string {
		s := make([]rune, 1+random.IntN(5))
		for i := range s {
			s[i] = letters[random.IntN(len(letters))]
		}
		return string(s)
	}
	f := newFixture(t)
	hash := f.work.Hash(t, 10, "x")
	asked := remote.NewBackend("accounts", "", nil)
	found := 0
	for range 20 {
		all := f.accounts()
		for range 200 {
			a := local.Account{Name: name(), Hash: hash}
			if random.IntN(2) == 0 {
				a.Email = name() + "@" + name()
			}
			all.Add(a) //nolint:errcheck // most cannot be names
		}
		for range 1000 {
			typed := name()
			if random.IntN(3) == 0 {
				typed += "@" + name()
			}
			u, there := all.Find(typed)
			if !there {
				continue
			}
			found++
			for method, key := range map[string]func(string) string{"exactly": all.Account, "loosely": asked.Account} {
				if k := key(typed); k != key(u.Name) && k != key(u.Email) {
					t.Errorf("%s: %q is %q, and counted as %q, not %q or %q", method, typed, u.Name, k, key(u.Name), key(u.Email))
				}
			}
		}
	}
	if found < 500 {
		t.Errorf("only %d were found", found)
	}
}

// While the local comparisons have no place, a name that only a backend can know is
// answered as one that a local user has.
func TestClass29AFullQueueTellsNotWhoseNameItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, own := newCrowd(t), new(asking)
		c.use(c.hosted.Methods[0], own)
		c.slow.Store(true)
		c.fill()
		own.asked.Store(false)
		for _, name := range []string{"demo", "zoe"} {
			c.wantBusy(c.send(c.visitor(), name, "wrong").Load())
		}
		if own.asked.Load() {
			t.Error("the backend was asked")
		}
		close(c.compare)
		synctest.Wait()
	})
}

// asking is a method that finds every password wrong, once it was asked.
type asking struct{ asked atomic.Bool }

func (*asking) ID() string                                  { return "accounts" }
func (*asking) Current(u session.User) (session.User, bool) { return u, true }
func (*asking) Account(name string) string                  { return name }

func (a *asking) Check(context.Context, signin.Credentials) (session.User, error) {
	a.asked.Store(true)
	return session.User{}, signin.ErrWrong
}
