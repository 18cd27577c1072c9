package portal_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
)

// guesses tries a wrong password under each name, and returns how many of them the
// backend was asked about.
func (f *fixture) guesses(b *remotetest.Backend, names []string) int {
	f.t.Helper()
	b.Questions()
	for _, name := range names {
		f.visitor().try(name, "guess")
	}
	return len(b.Questions())
}

func TestClass18SpellingsThatABackendMayFoldAreOneCount(t *testing.T) {
	for account, spellings := range map[string][]string{
		"ada":                {"ada", "Ada", " ada ", "ＡＤＡ", "ádà", "a-d-a", "a d a", "ada\u00ad", "a\u200bda", "ad\u3164a", "'ada'"},
		"straße":             {"straße", "STRASSE", "strasse", "Straße."},
		"ada smith":          {"ada smith", "Ada Smith", "ADA  SMITH", "ada\u00a0smith"},
		"ada@game.example":   {"ada@game.example", "ADA@game.example", "ada+1@game.example", "ada+2+3@game.example", "a.d.a+@game.example"},
		"a+d@a@game.example": {"a+d@a@game.example", "a+e@game.example"},
		"!!!":                {"!!!", "！！！"},
	} {
		f, b := newFixture(t), remotetest.NewBackend(t)
		f.use(f.hosted.Methods[0], b.Method("accounts", time.Minute))
		many := make([]string, 0, 40)
		for i := range cap(many) {
			many = append(many, spellings[i%len(spellings)])
		}
		if asked := f.guesses(b, many); asked != f.hosted.Limits.PerAccount/2 {
			t.Errorf("%s: %d guesses", account, asked)
		}
		if asked := f.guesses(b, []string{"another user", "else@game.example", "???"}); asked != 3 {
			t.Errorf("%s: %d others could try", account, asked)
		}
	}
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("name %d", i)
	}
	return all
}

func TestClass18TheAccountThatABackendNamesHasOneCountUnderAllItsNames(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	f.use(f.hosted.Methods[0], b.Method("accounts", time.Minute))
	b.Knowing("17", "right")
	owner := f.visitor()
	want(t, owner.try("zoe", "right"), http.StatusOK)
	for _, name := range names(2 * f.hosted.Limits.PerAccount) {
		w := f.visitor().try(name, "guess")
		want(t, w, http.StatusUnauthorized)
		if w.Header().Get("Retry-After") != "" {
			t.Errorf("Retry-After %q tells that the names are of one account", w.Header().Get("Retry-After"))
		}
	}
	// The right password is told from others by nothing.
	v := f.visitor()
	want(t, v.try("a fresh name", "right"), http.StatusUnauthorized)
	if v.session() != "" {
		t.Error("another client is signed in")
	}
	for range f.hosted.Limits.PerAccount/2 - 1 {
		want(t, f.visitor().try("a fresh name", "guess"), http.StatusUnauthorized)
	}
	b.Questions()
	want(t, f.visitor().try("a fresh name", "guess"), http.StatusTooManyRequests)
	if asked := b.Questions(); len(asked) != 0 {
		t.Error("the right password did not count where a wrong one does")
	}
	want(t, owner.try("another name", "right"), http.StatusOK)
	f.clock.Advance(f.hosted.Limits.Every)
	want(t, f.visitor().try("zoe", "right"), http.StatusOK)
}

func TestClass18AnAccountThatIsSpelledAlikeGivesNobodyACountOfTheirOwn(t *testing.T) {
	for name, c := range map[string]struct {
		names bool // whether the backend says whose password was wrong
		typed string
	}{
		"under the other name":                    {false, "zoe"},
		"under the other name, which it names":    {true, "zoe"},
		"under a name of both, whichever it asks": {true, "zo-e"},
	} {
		f, b := newFixture(t), remotetest.NewBackend(t)
		f.use(b.Method("accounts", time.Minute))
		b.Says(http.StatusOK, `{"user":{"subject":"66"}}`)
		var mallory []*visitor
		for range 4 {
			v := f.visitor()
			want(t, v.try("zo-e", "of mallory"), http.StatusOK)
			mallory = append(mallory, v)
		}
		body := remotetest.WrongPassword
		if c.names {
			body = `{"user":{"subject":"17"}}`
		}
		b.Says(http.StatusUnauthorized, body)
		for i := range 80 {
			mallory[i%len(mallory)].try(c.typed, "guess")
		}
		asked := len(b.Questions()) - len(mallory)
		if asked > f.hosted.Limits.PerAccount {
			t.Errorf("%s: %d guesses", name, asked)
		}
		// The right one would have been told from none of those that came later.
		b.Says(http.StatusOK, `{"user":{"subject":"17"}}`)
		for _, v := range mallory {
			delete(v.cookies, f.hosted.Session.Name)
			if v.try(c.typed, "right"); v.session() != "" {
				t.Errorf("%s: a guess too many counts", name)
			}
		}
	}
}

// A guess at a user's account counts there, though it is the password of one's
// own at another backend.
func TestClass18AnAccountAtAnotherBackendMakesNoGuessFree(t *testing.T) {
	f, first, second := newFixture(t), remotetest.NewBackend(t), remotetest.NewBackend(t)
	f.use(first.Method("first", time.Minute), second.Method("second", time.Minute))
	first.Says(http.StatusUnauthorized, `{"user":{"subject":"17"}}`)
	second.Says(http.StatusOK, `{"user":{"subject":"66"}}`)
	told := 0
	for _, name := range names(2 * f.hosted.Limits.PerAccount) {
		if f.visitor().try(name, "guess").Code == http.StatusOK {
			told++
		}
	}
	if told != f.hosted.Limits.PerAccount {
		t.Errorf("%d guesses", told)
	}
	// It is of the first that they were.
	first.Says(http.StatusUnauthorized, remotetest.WrongPassword)
	want(t, f.visitor().try("another", "right"), http.StatusOK)
}

func TestWhatABackendSaysBesideAWrongPasswordChangesNothingElse(t *testing.T) {
	for name, body := range map[string]string{
		"a subject that is none": `{"user":{"subject":7}}`, "one too long": `{"user":{"subject":"` + strings.Repeat("x", 256) + `"}}`,
		"a list": `{"error":"wrong","user":[]}`,
	} {
		f, b := newFixture(t), remotetest.NewBackend(t)
		f.use(b.Method("accounts", time.Minute))
		b.Answers(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, body) //nolint:errcheck // a test that cares sees it
		})
		for _, spelled := range names(2 * f.hosted.Limits.PerAccount) {
			if w := f.visitor().try(spelled, "guess"); w.Code != http.StatusUnauthorized {
				t.Errorf("%s: status %d", name, w.Code)
			}
		}
	}
}
