package signin_test

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// Badges signs in the staff of a building by the number on their badge and a PIN.
type Badges struct {
	pins map[string][sha256.Size]byte // by number; a real method stores slow hashes
}

func (*Badges) ID() string { return "badges" }

// Current says that every badge is valid as long as it is in the list.
func (b *Badges) Current(u session.User) (session.User, bool) {
	_, valid := b.pins[u.ProviderID]
	return u, valid
}

// Account leaves out the blanks that some people type.
func (*Badges) Account(name string) string { return strings.ReplaceAll(name, " ", "") }

func (b *Badges) Check(_ context.Context, c signin.Credentials) (session.User, error) {
	number := b.Account(c.Name)
	right, known := b.pins[number]
	typed := sha256.Sum256([]byte(number + c.Password))
	// Compared for an unknown number too, so that the time tells nothing.
	if same := subtle.ConstantTimeCompare(right[:], typed[:]) == 1; !same || !known {
		return session.User{}, signin.ErrWrong
	}
	return session.User{Subject: "badge-" + number, ProviderID: number, Name: "Badge " + number, Signin: "badges"}, nil
}

var _ signin.PasswordMethod = (*Badges)(nil)

// A sign-in method of one's own that checks a password.
func Example() {
	method := &Badges{pins: map[string][sha256.Size]byte{"4711": sha256.Sum256([]byte("47110815"))}}

	user, err := method.Check(context.Background(), signin.Credentials{Name: "47 11", Password: "0815"})
	fmt.Println(user.Name, err)

	_, err = method.Check(context.Background(), signin.Credentials{Name: "4711", Password: "0000"})
	fmt.Println(errors.Is(err, signin.ErrWrong))

	// Output:
	// Badge 4711 <nil>
	// true
}

// A password is in no log, whatever prints its credentials.
func ExampleCredentials() {
	fmt.Printf("%+v\n", signin.Credentials{Name: "4711", Password: "0815"})
	// Output: [redacted]
}
