package signin

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// PasswordMethod is a method that checks a user name and a password.
type PasswordMethod interface {
	Method

	// Account returns one name for all spellings of a user name, or of an e-mail
	// address, that may belong to one account. Failed attempts are counted by it.
	// The result must not depend on whether the account exists, because anybody can
	// find out which spellings are counted together.
	Account(name string) string

	// Check returns the user, or [ErrWrong]. It does the same work for a wrong name
	// and a wrong password, so that the time does not reveal whether the user exists.
	// It returns [ErrBusy] if it did not check the password, and a [DownError] if its
	// server does not answer.
	Check(ctx context.Context, c Credentials) (session.User, error)
}

// Credentials are the name and password that a user typed. They cannot be printed.
type Credentials struct {
	Name, Password string

	// From is the address of the client.
	From string

	// Known is set if the account signed in before in this browser. Such a sign-in
	// has priority over others that wait.
	Known bool

	// Whose, if it is not nil, is called before Check returns [ErrWrong], with the user
	// whose password was wrong, if there is such a user.
	Whose func(session.User)

	// WaitUntil is when a method that has too much to do stops waiting, and returns
	// [ErrBusy]. Zero: the method decides.
	WaitUntil time.Time
}

// Format keeps the password from being printed, under every verb.
func (Credentials) Format(f fmt.State, _ rune) {
	io.WriteString(f, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// MaxPassword is the most bytes that a password has.
const MaxPassword = 1024

// AttemptLimits bound how often a password may be tried. Used attempts come back
// evenly: of 10 attempts every 15 minutes, one every 90 seconds.
type AttemptLimits struct {
	PerAccount int           // failures for one account; default 10
	PerAddress int           // failures from one address; default 100
	Every      time.Duration // default 15 minutes
}
