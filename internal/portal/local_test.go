package portal_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// changing is what differs between two answers without telling anything: the
// transaction, and the name that was typed.
var changing = regexp.MustCompile(`name="transaction" value="[^"]+"|name="username" type="text" value="[^"]*"| autofocus`)

func TestClass29KnownAndUnknownUsersAreAnsweredAlike(t *testing.T) {
	f := newFixture(t)
	f.hosted.Limits.PerAccount = 100
	type answer struct {
		status       int
		header, body string
		work         []string
	}
	asked := func(name, password string) answer {
		b := f.visitor()
		in := b.form(b.open(portal.RedirectToSignIn("", authorization)))
		w := b.submit(in, name, password)
		w.Header().Del("Set-Cookie")
		w.Header().Del("Content-Length")
		return answer{w.Code, fmt.Sprint(w.Header()), changing.ReplaceAllString(w.Body.String(), ""), f.work.Take()}
	}
	known := asked("demo", "wrong")
	if known.status != http.StatusUnauthorized || len(known.work) != 2 {
		t.Fatalf("status %d after comparing %v", known.status, known.work)
	}
	for _, name := range []string{"costly", "demo@example.com", "nobody", "nobody@example.com", "", " ", "a b", "d\x00emo", "\xff", strings.Repeat("x", 10_000), "demo@example.com@example.com", "Ann", "$2a$10$"} {
		for _, password := range []string{"wrong", "", strings.Repeat("x", 10_000), "\x00"} {
			got := asked(name, password)
			if got.status != known.status || got.header != known.header || got.body != known.body || !slices.Equal(got.work, known.work) {
				t.Errorf("%.20q with %.10q: status %d, work %v\n%s\n%s", name, password, got.status, got.work, got.header, got.body)
			}
		}
	}
}

func TestClass29TheSameWorkIsDoneForARightPassword(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"demo", "costly", "ann"} {
		want(t, f.visitor().try(name, name+" password"), http.StatusOK)
		if got := f.work.Take(); !slices.Equal(got, []string{"$2a$10$", "$2a$12$"}) {
			t.Errorf("%s: compared %v", name, got)
		}
	}
}

// The lower case of these letters is i and k.
func TestClass20AnAddressWithLettersThatFoldToASCIIIsAnother(t *testing.T) {
	f := newFixture(t)
	l := f.accounts(local.Account{Name: "nik", Hash: f.work.Hash(t, 10, "nik password"), Email: "Nik@Likes.example"})
	for _, other := range []string{"n\u0130k@likes.example", "ni\u212a@likes.example", "nik@l\u0130kes.example", "nik@li\u212aes.example"} {
		if got, err := username.CanonicalEmail(other); err == nil && got == "nik@likes.example" {
			t.Errorf("%q was taken for it", other)
		}
		if u, there := l.ByEmail(other); there {
			t.Errorf("%q is linked to %q", other, u.Name)
		}
	}
	if u, there := l.ByEmail("NIK@LIKES.example"); !there || u.Name != "nik" {
		t.Errorf("its own user is %q", u.Name)
	}
}

func TestAPasswordThatIsTooLongIsNeverRight(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", signin.MaxPassword)
	f.hosted.Methods = methods.List{f.accounts(local.Account{Name: "long", Hash: f.work.Hash(t, 10, long)})}
	if _, err := f.hosted.Methods.PasswordMethods(nil).Check(t.Context(), signin.Credentials{Name: "long", Password: long}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.hosted.Methods.PasswordMethods(nil).Check(t.Context(), signin.Credentials{Name: "long", Password: long + "x"}); !errors.Is(err, signin.ErrWrong) {
		t.Fatalf("got %v", err)
	}
}

func TestUsersAreTheSameAfterARestartAndCurrentAfterAReload(t *testing.T) {
	f := newFixture(t)
	hash := f.work.Hash(t, 10, "x")
	before, after := f.accounts(local.Account{Name: "Demo", Hash: hash}), f.accounts(local.Account{Name: "demo", Hash: hash, Groups: []string{"staff"}})
	old, err := before.Check(t.Context(), signin.Credentials{Name: "DEMO", Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(old.Subject) {
		t.Errorf("subject %q is no UUIDv5", old.Subject)
	}
	now, ok := methods.List{after}.Current(old)
	if !ok || now.Subject != old.Subject || !slices.Equal(now.Groups, []string{"staff"}) {
		t.Errorf("got %v, %v", now, ok)
	}
	if _, ok := (methods.List{after}).Current(session.User{Subject: old.Subject, Signin: "removed"}); ok {
		t.Error("a user came by a method that is no longer there")
	}
	if _, ok := (methods.List{f.accounts()}).Current(old); ok {
		t.Error("a removed user is still one")
	}
}

func TestAccountsThatCouldBeAnothersAreRefused(t *testing.T) {
	f := newFixture(t)
	hash := f.work.Hash(t, 10, "x")
	for name, accounts := range map[string][]local.Account{
		"twice":                           {{Name: "demo", Hash: hash}, {Name: "demo", Hash: hash}},
		"in another case":                 {{Name: "demo", Hash: hash}, {Name: "DEMO", Hash: hash}},
		"in full-width letters":           {{Name: "demo", Hash: hash}, {Name: "ｄｅｍｏ", Hash: hash}},
		"one e-mail":                      {{Name: "a", Hash: hash, Email: "x@y.z"}, {Name: "b", Hash: hash, Email: "X@Y.Z"}},
		"an e-mail that is a name":        {{Name: "x@y.z", Hash: hash}, {Name: "b", Hash: hash, Email: "x@y.z"}},
		"a name that is an e-mail":        {{Name: "b", Hash: hash, Email: "x@y.z"}, {Name: "X@y.z", Hash: hash}},
		"one subject":                     {{Name: "a", Hash: hash, Subject: "1"}, {Name: "b", Hash: hash, Subject: "1"}},
		"no name":                         {{Name: "", Hash: hash}},
		"control characters":              {{Name: "a\nb", Hash: hash}},
		"a name that is too long":         {{Name: strings.Repeat("a", 257), Hash: hash}},
		"an e-mail that is none":          {{Name: "a", Hash: hash, Email: "a"}},
		"an empty group":                  {{Name: "a", Hash: hash, Groups: []string{""}}},
		"a group with control characters": {{Name: "a", Hash: hash, Groups: []string{"a\r\nb"}}},
	} {
		if _, err := local.New("local", accounts); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
