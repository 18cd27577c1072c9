package signin

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-sso/caddy-sso/session"
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
		in := b.form(b.open(RedirectToSignIn("", authorization)))
		w := b.submit(in, name, password)
		w.Header().Del("Set-Cookie")
		w.Header().Del("Content-Length")
		return answer{w.Code, fmt.Sprint(w.Header()), changing.ReplaceAllString(w.Body.String(), ""), f.work.take()}
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
		if got := f.work.take(); !slices.Equal(got, []string{"$2a$10$", "$2a$12$"}) {
			t.Errorf("%s: compared %v", name, got)
		}
	}
}

func TestClass20AnAddressWithTwoAtSignsIsNone(t *testing.T) {
	for _, bad := range []string{"a@b@c", "demo@example.com@evil.example", "@example.com", "a@", "@", "", "a b@c", "a@b c", "a,b@c", "<a@b>", `"a"@b`, "a@b\n", "a\x00@b", "a@b;c@d", strings.Repeat("a", 250) + "@b.cd"} {
		if got, err := CanonicalEmail(bad); err == nil {
			t.Errorf("%q was taken for %q", bad, got)
		}
	}
	if got, err := CanonicalEmail("Demo+x@Example.COM"); err != nil || got != "demo+x@example.com" {
		t.Errorf("%q, %v", got, err)
	}
}

// The lower case of these letters is i and k.
func TestClass20AnAddressWithLettersThatFoldToASCIIIsAnother(t *testing.T) {
	f := newFixture(t)
	l := f.accounts(Account{Name: "nik", Hash: f.work.hash(t, 10, "nik password"), Email: "Nik@Likes.example"})
	for _, other := range []string{"n\u0130k@likes.example", "ni\u212a@likes.example", "nik@l\u0130kes.example", "nik@li\u212aes.example"} {
		if got, err := CanonicalEmail(other); err == nil && got == "nik@likes.example" {
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
	long := strings.Repeat("x", MaxPassword)
	f.hosted.Methods = Methods{f.accounts(Account{Name: "long", Hash: f.work.hash(t, 10, long)})}
	if _, err := f.hosted.Methods.passwordMethods(nil).check(t.Context(), Credentials{Name: "long", Password: long}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.hosted.Methods.passwordMethods(nil).check(t.Context(), Credentials{Name: "long", Password: long + "x"}); !errors.Is(err, ErrWrong) {
		t.Fatalf("got %v", err)
	}
}

func TestUsersAreTheSameAfterARestartAndCurrentAfterAReload(t *testing.T) {
	f := newFixture(t)
	hash := f.work.hash(t, 10, "x")
	before, after := f.accounts(Account{Name: "Demo", Hash: hash}), f.accounts(Account{Name: "demo", Hash: hash, Groups: []string{"staff"}})
	old, err := before.Check(t.Context(), Credentials{Name: "DEMO", Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(old.Subject) {
		t.Errorf("subject %q is no UUIDv5", old.Subject)
	}
	now, ok := Methods{after}.Current(old)
	if !ok || now.Subject != old.Subject || !slices.Equal(now.Groups, []string{"staff"}) {
		t.Errorf("got %v, %v", now, ok)
	}
	if _, ok := (Methods{after}).Current(session.User{Subject: old.Subject, Signin: "removed"}); ok {
		t.Error("a user came by a way that is no longer there")
	}
	if _, ok := (Methods{f.accounts()}).Current(old); ok {
		t.Error("a removed user is still one")
	}
}

func TestAccountsThatCouldBeAnothersAreRefused(t *testing.T) {
	f := newFixture(t)
	hash := f.work.hash(t, 10, "x")
	for name, accounts := range map[string][]Account{
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
		if _, err := NewLocal("local", accounts); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// argon2id compares as Caddy does.
func argon2id(hashed, plaintext []byte) (bool, error) {
	parts := strings.Split(string(hashed), "$")
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil {
		return false, err
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, err
	}
	key, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(argon2.IDKey(plaintext, salt, time, memory, threads, uint32(len(key))), key) == 1, nil
}

func TestHashesOfAllKinds(t *testing.T) {
	comparers := Comparers{Argon2id: argon2id, Bcrypt: func(hashed, plaintext []byte) (bool, error) {
		err := bcrypt.CompareHashAndPassword(hashed, plaintext)
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return err == nil, err
	}}
	made, err := bcrypt.GenerateFromPassword([]byte("secret"), 4)
	if err != nil {
		t.Fatal(err)
	}
	salt := []byte("0123456789abcdef")
	argon := "$argon2id$v=19$m=64,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte("secret"), salt, 1, 64, 1, 32))
	var accounts []Account
	for i, encoded := range []string{string(made), argon} {
		h, err := ParseHash(encoded, comparers)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%v %s %#v %+v", h, h, h, h); strings.Contains(got, "$") {
			t.Errorf("a hash prints as %s", got)
		}
		accounts = append(accounts, Account{Name: fmt.Sprintf("user%d", i), Hash: h})
	}
	method, err := NewLocal("local", accounts)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"user0", "user1"} {
		if u, err := method.Check(t.Context(), Credentials{Name: name, Password: "secret"}); err != nil || u.Name != name {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := method.Check(t.Context(), Credentials{Name: name, Password: "Secret"}); !errors.Is(err, ErrWrong) {
			t.Errorf("%s with a wrong password: %v", name, err)
		}
	}
	for _, password := range []string{"secret", "", "\x00"} {
		if _, err := method.Check(t.Context(), Credentials{Name: "nobody", Password: password}); !errors.Is(err, ErrWrong) {
			t.Errorf("nobody: %v", err)
		}
	}

	b := string(made)
	for _, bad := range []string{
		"", "secret", "$", "$$$", "$1$" + b[4:], b[1:], b[:len(b)-1], b + "A", strings.Replace(b, "$04$", "$4$", 1), strings.Replace(b, "$04$", "$03$", 1), strings.Replace(b, "$04$", "$19$", 1),
		strings.Replace(b, "$04$", "$xx$", 1), b[:10] + "!" + b[11:], argon[1:], strings.Replace(argon, "argon2id", "argon2i", 1), strings.Replace(argon, "m=64", "m=64x", 1),
		strings.Replace(argon, "m=64", "m=0", 1), strings.Replace(argon, "t=1", "t=0", 1), strings.Replace(argon, "p=1", "p=256", 1), strings.Replace(argon, "m=64", "m=99999999", 1),
		strings.Replace(argon, "t=1", "t=65", 1), argon + "!", argon[:40] + "$", "$argon2id$v=19$m=64,t=1,p=1$$",
	} {
		if _, err := ParseHash(bad, comparers); err == nil {
			t.Errorf("%q was taken", bad)
		} else if bad != "" && len(bad) > 20 && strings.Contains(err.Error(), bad[20:]) {
			t.Errorf("the error repeats the hash: %v", err)
		}
	}
}
