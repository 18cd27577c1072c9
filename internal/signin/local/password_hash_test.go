package local_test

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/signin"
)

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
	comparers := local.Comparers{Argon2id: argon2id, Bcrypt: func(hashed, plaintext []byte) (bool, error) {
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
	var accounts []local.Account
	for i, encoded := range []string{string(made), argon} {
		h, err := local.ParseHash(encoded, comparers)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%v %s %#v %+v", h, h, h, h); strings.Contains(got, "$") {
			t.Errorf("a hash prints as %s", got)
		}
		accounts = append(accounts, local.Account{Name: fmt.Sprintf("user%d", i), Hash: h})
	}
	method, err := local.New("local", accounts)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"user0", "user1"} {
		if u, err := method.Check(t.Context(), signin.Credentials{Name: name, Password: "secret"}); err != nil || u.Name != name {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := method.Check(t.Context(), signin.Credentials{Name: name, Password: "Secret"}); !errors.Is(err, signin.ErrWrong) {
			t.Errorf("%s with a wrong password: %v", name, err)
		}
	}
	for _, password := range []string{"secret", "", "\x00"} {
		if _, err := method.Check(t.Context(), signin.Credentials{Name: "nobody", Password: password}); !errors.Is(err, signin.ErrWrong) {
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
		if _, err := local.ParseHash(bad, comparers); err == nil {
			t.Errorf("%q was taken", bad)
		} else if bad != "" && len(bad) > 20 && strings.Contains(err.Error(), bad[20:]) {
			t.Errorf("the error repeats the hash: %v", err)
		}
	}
}

func TestOnlyWhatCanBeTypedAgainIsHashed(t *testing.T) {
	const composed, decomposed = "caf\u00e9 de l'h\u00f4tel", "cafe\u0301 de l'ho\u0302tel"
	for typed, want := range map[string]string{
		composed: composed, decomposed: composed, " a\u00a0b ": " a b ",
		strings.Repeat("e\u0301", signin.MaxPassword/2): strings.Repeat("\u00e9", signin.MaxPassword/2),
	} {
		if got, err := local.NormalizePassword(typed); got != want || err != nil {
			t.Errorf("%.20q became %.20q, %v", typed, got, err)
		}
	}
	for _, typed := range []string{
		"", "\ufeffhunter2", "hunter2\u200b", "hunter\t2", "hunter2\r", "caf\xe9", strings.Repeat("x", signin.MaxPassword+1),
		strings.Repeat("\u0958", signin.MaxPassword/3), // longer when it is normalized
		strings.Repeat("x", 1<<20),
	} {
		got, err := local.NormalizePassword(typed)
		if err == nil || got != "" || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%.20q became %.20q, %v", typed, got, err)
		}
	}
}
