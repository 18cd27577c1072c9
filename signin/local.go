package signin

import (
	"context"
	"crypto/sha1" //nolint:gosec // UUIDv5 is defined over SHA-1 (RFC 9562 section 5.5); nothing secret is hashed
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/text/secure/precis"

	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
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

	// Registered is when the account was made, in Unix seconds; 0: that is not known.
	Registered int64

	// Disabled keeps the user from signing in, and the name from anybody else.
	Disabled bool
}

// Local signs in the users of the configuration, and of a file if it has one.
type Local struct {
	id         string
	configured *userIndex
	now        atomic.Pointer[userIndex] // which does not change any more
	file       *jsonlines.File           // nil: there is none
	checking   hashLimit
}

const maxName = 256 // bytes

// NewLocal makes the accounts.
func NewLocal(id string, accounts []Account) (*Local, error) {
	l := &Local{id: id, configured: newUserIndex(id), checking: newHashLimit()}
	l.now.Store(l.configured)
	for _, a := range accounts {
		if err := l.Add(a); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Add adds an account of the configuration, before the first sign-in. Names and
// e-mail addresses are compared without case, and none may be another's. After
// an error it was not added.
func (l *Local) Add(a Account) error { return l.configured.add(a) }

// TakeOver puts the accounts of another in place of its own. Sign-ins under way end by
// those of before.
func (l *Local) TakeOver(other *Local) { l.now.Store(other.now.Load()) }

// ID implements [Method].
func (l *Local) ID() string { return l.id }

// Current implements [Method]: what the configuration says of the user now. Whoever
// signed in when the user had another password is none, and may be another person,
// since a subject comes from a name. Nor is it known with which password a session
// without a mark began, unless another way began it, and linked it.
func (l *Local) Current(u session.User) (session.User, bool) {
	a := l.now.Load().bySubject[u.Subject]
	elsewhere := u.Mark == "" && u.Signin != l.id
	if a == nil || a.disabled || (u.Mark != a.user.Mark && !elsewhere) {
		return session.User{}, false
	}
	return a.user, true
}

// Disabled implements [DisabledLister].
func (l *Local) Disabled() []string { return l.now.Load().disabled }

// NameOf implements [NameFinder].
func (l *Local) NameOf(subject string) string {
	if a := l.now.Load().bySubject[subject]; a != nil {
		return a.user.Name
	}
	return ""
}

// Find implements [NameFinder].
func (l *Local) Find(name string) (session.User, bool) {
	a := l.now.Load().find(name)
	if a == nil {
		return session.User{}, false
	}
	return a.user, true
}

// Account implements [PasswordMethod].
func (l *Local) Account(name string) string {
	return deriveSubject("name", l.id+"\x00"+spelled(name))
}

// Check implements [PasswordMethod]. It compares one hash of every cost that there
// is among the accounts, the user's own or a decoy, so the work tells nothing
// of whether the user exists. A password that is not normalized takes the same twice.
// At most one comparison a core runs at a time.
func (l *Local) Check(ctx context.Context, c Credentials) (session.User, error) {
	check, err := l.Reserve(ctx, c)
	if err != nil {
		return session.User{}, err
	}
	return check()
}

// Reserve waits for a core to compare a password on. The core is taken until check,
// which has to be called once, returns what [Local.Check] does.
func (l *Local) Reserve(ctx context.Context, c Credentials) (check func() (session.User, error), err error) {
	leave, err := l.checking.enter(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("waiting to check a password: %w", err)
	}
	return func() (session.User, error) {
		defer leave()
		return l.compare(c)
	}, nil
}

func (l *Local) compare(c Credentials) (session.User, error) {
	forms := passwordForms(c.Password)
	never := len(forms) == 0
	if never {
		forms = []string{c.Password[:min(len(c.Password), MaxPassword)]} // for the same work
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
	return session.User{}, ErrWrong
}

// canonical is the form in which user names are compared (RFC 8265 section
// 3.3, UsernameCaseMapped).
func canonical(name string) (string, error) {
	if name == "" {
		return "", errors.New("it is empty")
	}
	if len(name) > maxName {
		return "", fmt.Errorf("longer than %d bytes", maxName)
	}
	c, err := precis.UsernameCaseMapped.CompareKey(name)
	if err != nil {
		return "", errNoName // what PRECIS calls it tells people nothing
	}
	return c, nil
}

var errNoName = errors.New("expected letters of one script, digits and ASCII punctuation, without spaces, symbols and what cannot be seen")

// CanonicalEmail is the form in which e-mail addresses are compared. An address
// with two @ is none, since one program would read the first and another the
// last.
func CanonicalEmail(email string) (string, error) {
	name, domain, found := strings.Cut(email, "@")
	if !found || name == "" || domain == "" || strings.Contains(domain, "@") ||
		strings.ContainsAny(email, " \t,;<>\"'()\\") || !oauth.CleanText(email) || !visible(email) || len(email) > 254 {
		return "", fmt.Errorf("e-mail %q is no address such as player@game.example", email)
	}
	return oauth.LowerASCII(email), nil
}

// subjectNamespace is the UUID of this project's namespace (RFC 9562 section
// 6.6), made at random once. Subjects do not depend on the issuer, so that they
// stay the same when the portal moves to another domain.
var subjectNamespace = [16]byte{0x4c, 0x1d, 0x8e, 0x0a, 0x6b, 0x2f, 0x4d, 0x33, 0x9a, 0x57, 0xe1, 0xc0, 0x73, 0x18, 0xbd, 0x26}

// deriveSubject is a UUIDv5 (RFC 9562 section 5.5).
func deriveSubject(method, name string) string {
	h := sha1.New() //nolint:gosec // see the import
	h.Write(subjectNamespace[:])
	h.Write([]byte(method + "\x00" + name))
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
