package portal_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/signin"
)

// One password as a keyboard that composes sends it, and as one that does not.
const (
	composed   = "caf\u00e9 de l'h\u00f4tel"
	decomposed = "cafe\u0301 de l'ho\u0302tel"
)

func TestAPasswordIsRightInWhateverFormItIsTyped(t *testing.T) {
	long := strings.Repeat("\u00e9", signin.MaxPassword/2)
	for _, c := range []struct {
		name, hashed, typed string
		right               bool
	}{
		{"composed, as it was hashed", composed, composed, true},
		{"decomposed, where the composed one was hashed", composed, decomposed, true},
		{"another space", "a b c", "a\u00a0b\u3000c", true},
		{"a Hangul syllable in three letters", "\ud55c", "\u1112\u1161\u11ab", true},
		{"the very bytes of an older hash", decomposed, decomposed, true},
		{"the very bytes with another space", "a\u00a0b", "a\u00a0b", true},
		{"the very bytes that cannot be normalized", "tab\there", "tab\there", true},
		{"the very bytes of an emoji", "\u2764\ufe0f\u200d", "\u2764\ufe0f\u200d", true},
		{"bytes that are no UTF-8", "caf\xe9", "caf\xe9", true},
		{"the longest, typed in more bytes than it has", long, strings.Repeat("e\u0301", signin.MaxPassword/2), true},
		{"another letter", composed, "cafe de l'hotel", false},
		{"another case", composed, strings.ToUpper(composed), false},
		{"wide letters", "abc", "\uff41\uff42\uff43", false},
		{"a space more", "a b", "a b ", false},
		{"one that is too long in every form", long + "x", long + "x", false},
		{"nothing", "", "", false},
	} {
		f := newFixture(t)
		f.hosted.Methods = methods.List{f.accounts(local.Account{Name: "zoe", Hash: f.work.Hash(t, 10, c.hashed)})}
		_, err := f.hosted.Methods.PasswordMethods(nil).Check(t.Context(), signin.Credentials{Name: "zoe", Password: c.typed})
		if (err == nil) != c.right || (err != nil && !errors.Is(err, signin.ErrWrong)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestClass29TheWorkDependsOnThePasswordAlone(t *testing.T) {
	f := newFixture(t)
	f.hosted.Limits.PerAccount = 100
	f.use(f.accounts(
		local.Account{Name: "zoe", Hash: f.work.Hash(t, 10, composed)},
		local.Account{Name: "old", Hash: f.work.Hash(t, 12, decomposed)},
		local.Account{Name: "gone", Hash: f.work.Hash(t, 10, composed), Disabled: true},
	))
	for password, work := range map[string][]string{
		composed:   {"$2a$10$", "$2a$12$"},
		decomposed: {"$2a$10$", "$2a$10$", "$2a$12$", "$2a$12$"},
		"wrong":    {"$2a$10$", "$2a$12$"},
	} {
		for _, name := range []string{"zoe", "old", "gone", "nobody"} {
			right := name == "zoe" && password != "wrong" || name == "old" && password == decomposed
			f.work.Take()
			status := f.visitor().try(name, password).Code
			if (status == http.StatusOK) != right {
				t.Errorf("%s with %q: status %d", name, password, status)
			}
			if got := f.work.Take(); !slices.Equal(got, work) {
				t.Errorf("%s with %q: compared %v", name, password, got)
			}
		}
	}
}

// Its own hashes may be of those bytes, and it is asked once.
func TestABackendIsAskedAboutThePasswordAsItWasTyped(t *testing.T) {
	backend := remotetest.NewBackend(t)
	f := newFixture(t)
	f.use(backend.Method("own", time.Second))
	for _, typed := range []string{composed, decomposed} {
		f.visitor().try("zoe", typed)
		if got := backend.Questions(); len(got) != 1 || got[0].Password != typed {
			t.Errorf("it was asked %+q about %+q", got, typed)
		}
	}
}
