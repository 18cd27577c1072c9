package ssopin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// hashed is a bcrypt hash of a PIN, at the least cost.
func hashed(t *testing.T, pin string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(pin), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func read(t *testing.T, badges string) *Method {
	t.Helper()
	m, err := Read(strings.NewReader(badges))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestABadgeSignsInByItsPINAlone(t *testing.T) {
	m := read(t, "# badges\n\n4711 "+hashed(t, "0815")+"\n4712 "+hashed(t, "1234"))
	user, err := m.Check(t.Context(), signin.Credentials{Name: "47 11", Password: "0815"})
	if err != nil || user.Name != "Badge 4711" || user.Signin != m.ID() {
		t.Errorf("%+v, %v", user, err)
	}
	for _, wrong := range []signin.Credentials{
		{Name: "4711", Password: "1234"},
		{Name: "4713", Password: "0815"}, // the PIN of the hash that unknown numbers are compared with
		{Name: "", Password: ""},
	} {
		told := false
		wrong.Whose = func(session.User) { told = true }
		if user, err := m.Check(t.Context(), wrong); !errors.Is(err, signin.ErrWrong) {
			t.Errorf("%s: %+v, %v", wrong.Name, user, err)
		}
		if told != (wrong.Name == "4711") {
			t.Errorf("%q: Whose was called: %t", wrong.Name, told)
		}
	}
}

func TestASessionEndsWithItsBadgeAndWithItsPIN(t *testing.T) {
	before := "4711 " + hashed(t, "0815")
	user, err := read(t, before).Check(t.Context(), signin.Credentials{Name: "4711", Password: "0815"})
	if err != nil {
		t.Fatal(err)
	}
	for badges, want := range map[string]bool{
		before:                          true,
		"4711 " + hashed(t, "0816"):     false,
		"4712 " + hashed(t, "0815"):     false,
		before + "\n4712 " + before[5:]: true,
	} {
		if _, current := read(t, badges).Current(user); current != want {
			t.Errorf("%q: %t", badges, current)
		}
	}
}

func TestASignInThatHasNoTurnInTimeIsNotChecked(t *testing.T) {
	m := read(t, "4711 "+hashed(t, "0815"))
	for range cap(m.turns) {
		m.turns <- struct{}{}
	}
	c := signin.Credentials{Name: "4711", Password: "0815", WaitUntil: time.Now().Add(time.Millisecond)}
	if _, err := m.Check(context.Background(), c); !errors.Is(err, signin.ErrBusy) {
		t.Error(err)
	}
}

func TestAWrongLineIsAnErrorThatNamesIt(t *testing.T) {
	first := "4711 " + hashed(t, "0815") + "\n"
	for badges, want := range map[string]string{
		"":                                  "there is no badge",
		first + "ada " + first[5:]:          "line 2: expected the number",
		first + "4712":                      "line 2: expected the number",
		first + "4712 0815":                 "line 2: badge 4712",
		first + first:                       "line 2: duplicate badge 4711",
		first + "4712 $2a$05$" + first[12:]: "line 2: badge 4712: the bcrypt cost is 5, but 4",
	} {
		if _, err := Read(strings.NewReader(badges)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %s", badges, err, want)
		}
	}
}
