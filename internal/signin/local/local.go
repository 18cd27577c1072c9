// Package local is the sign-in method for users of the configuration, and of a file of
// users that other programs may change at any time.
//
// # Passwords
//
// Checking a password does the same work whether the user exists or not. A password is
// compared in its normalized form (RFC 8265), and, if that differs, as it was typed, since
// other programs hash the bytes. The number of comparisons depends only on the password.
//
// # The file of users
//
// The file is checked every second. A new version replaces the old one as a whole, so a
// sign-in sees exactly one version. A wrong line affects no other user. A file that cannot
// be read, or is cut off, affects no user.
package local

import (
	"context" //nolint:gosec // UUIDv5 is defined over SHA-1 (RFC 9562 section 5.5); nothing secret is hashed
	"fmt"
	"sync/atomic"

	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// An Account is a user of the configuration, or of its file of users.
type Account struct {
	Name   string
	Hash   Hash
	Email  string
	Groups []string

	// Subject is the user's UUID. Empty: derived from the name, so that it is
	// the same after a restart and on every node.
	Subject string

	// Registered is when the account was created, in Unix seconds. 0: unknown.
	Registered int64

	// Disabled keeps the user from signing in, and the name from anybody else.
	Disabled bool
}

// A Method signs in the users of the configuration, and of a file if it has one.
type Method struct {
	id         string
	configured *userIndex
	now        atomic.Pointer[userIndex] // which does not change any more
	file       *jsonlines.File           // nil: there is none
	checking   limits.Queue
}

// New returns a method with accounts.
func New(id string, accounts []Account) (*Method, error) {
	l := &Method{id: id, configured: newUserIndex(id), checking: limits.NewQueue()}
	l.now.Store(l.configured)
	for _, a := range accounts {
		if err := l.Add(a); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Add adds an account of the configuration, before the first sign-in. Names and
// e-mail addresses are compared without case, and must be unique. After an error the
// account was not added.
func (l *Method) Add(a Account) error { return l.configured.add(a) }

// TakeOver replaces the accounts with those of another method. Running sign-ins
// finish with the old accounts.
func (l *Method) TakeOver(other *Method) { l.now.Store(other.now.Load()) }

// ID implements [signin.Method].
func (l *Method) ID() string { return l.id }

// Current implements [signin.Method]: it returns the user as configured now. A user
// who signed in with another password is not this user, and may be another person,
// because a subject comes from a name. The password of a session without a mark is
// unknown, unless another method began the session and linked the user.
func (l *Method) Current(u session.User) (session.User, bool) {
	a := l.now.Load().bySubject[u.Subject]
	elsewhere := u.Mark == "" && u.Signin != l.id
	if a == nil || a.disabled || (u.Mark != a.user.Mark && !elsewhere) {
		return session.User{}, false
	}
	return a.user, true
}

// Disabled implements [signin.DisabledLister].
func (l *Method) Disabled() []string { return l.now.Load().disabled }

// NameOf implements [signin.NameFinder].
func (l *Method) NameOf(subject string) string {
	if a := l.now.Load().bySubject[subject]; a != nil {
		return a.user.Name
	}
	return ""
}

// Find implements [signin.NameFinder].
func (l *Method) Find(name string) (session.User, bool) {
	a := l.now.Load().find(name)
	if a == nil {
		return session.User{}, false
	}
	return a.user, true
}

// Account implements [signin.PasswordMethod].
func (l *Method) Account(name string) string {
	return subjects.Derive("name", l.id+"\x00"+username.Spelled(name))
}

// Check implements [signin.PasswordMethod]. It compares one hash of every cost among
// the accounts, the user's own or a decoy, so the time does not reveal whether the
// user exists. A password that is not normalized takes twice the time. Each core runs
// at most one comparison at a time.
func (l *Method) Check(ctx context.Context, c signin.Credentials) (session.User, error) {
	check, err := l.Reserve(ctx, c)
	if err != nil {
		return session.User{}, err
	}
	return check()
}

// Reserve waits for a core to compare a password. The core is reserved until check
// returns, which must be called once. It returns what [Method.Check] returns.
func (l *Method) Reserve(ctx context.Context, c signin.Credentials) (check func() (session.User, error), err error) {
	leave, err := l.checking.Enter(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("waiting to check a password: %w", err)
	}
	return func() (session.User, error) {
		defer leave()
		return l.compare(c)
	}, nil
}

func (l *Method) compare(c signin.Credentials) (session.User, error) {
	forms := passwordForms(c.Password)
	never := len(forms) == 0
	if never {
		forms = []string{c.Password[:min(len(c.Password), signin.MaxPassword)]} // for the same work
	}
	all := l.now.Load()
	found := all.find(c.Name)
	right := false
	for _, decoy := range all.classes {
		hash, own := decoy, found != nil && found.hash.class == decoy.class
		if own {
			hash = found.hash
		}
		for _, password := range forms { // all of them: who is disabled is told nothing by the time it takes
			matches, err := hash.Matches(password)
			if err != nil {
				return session.User{}, fmt.Errorf("comparing a password: %w", err)
			}
			right = right || (own && matches && !never)
		}
	}
	if right && !found.disabled {
		return found.user, nil
	}
	if found != nil && c.Whose != nil {
		c.Whose(found.user)
	}
	return session.User{}, signin.ErrWrong
}

// ByEmail implements [signin.EmailFinder].
func (l *Method) ByEmail(email string) (session.User, bool) {
	Canonical, err := username.CanonicalEmail(email)
	if err != nil {
		return session.User{}, false
	}
	a := l.now.Load().byEmail[Canonical]
	if a == nil {
		return session.User{}, false
	}
	return a.user, true
}

// Groups implements [signin.GroupLister]. A file of users may get any group while it
// is followed.
func (l *Method) Groups() (names []string, open bool) {
	for _, a := range l.configured.bySubject {
		names = append(names, a.user.Groups...)
	}
	return names, l.file != nil
}
