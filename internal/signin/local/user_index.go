package local

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
)

// A userIndex is all accounts of a method at one time.
type userIndex struct {
	method    string
	byName    map[string]*account
	byEmail   map[string]*account
	bySubject map[string]*account
	disabled  []string // subjects
	classes   []Hash   // one decoy for each cost of hash among the accounts
}

type account struct {
	user     session.User
	hash     Hash
	disabled bool
}

func newUserIndex(method string) *userIndex {
	return &userIndex{method: method, byName: map[string]*account{}, byEmail: map[string]*account{}, bySubject: map[string]*account{}}
}

// clone is a directory of the same accounts, to which others can be added.
func (d *userIndex) clone() *userIndex {
	return &userIndex{
		method: d.method, byName: maps.Clone(d.byName), byEmail: maps.Clone(d.byEmail), bySubject: maps.Clone(d.bySubject),
		disabled: slices.Clone(d.disabled), classes: slices.Clone(d.classes),
	}
}

// add adds an account. Its names must be unique.
func (d *userIndex) add(a Account) error {
	if err := d.put(a); err != nil {
		return fmt.Errorf("user %q: %w", a.Name, err)
	}
	return nil
}

func (d *userIndex) put(a Account) error {
	name, err := username.Canonical(a.Name)
	if err != nil {
		return fmt.Errorf("the name cannot be used: %w", err)
	}
	if _, taken := d.byName[name]; taken {
		return errors.New("defined twice; names are compared without case")
	}
	if other, taken := d.byEmail[name]; taken {
		return fmt.Errorf("the name is the e-mail address of user %q", other.user.Name)
	}
	if err := checkGroups(a.Groups); err != nil {
		return err
	}
	subject := a.Subject
	if subject == "" {
		subject = subjects.Derive("local", name)
	}
	if _, taken := d.bySubject[subject]; taken {
		return fmt.Errorf("subject %s is another user's", subject)
	}
	acc := &account{hash: a.Hash, disabled: a.Disabled, user: session.User{
		Subject: subject, Name: a.Name, Email: a.Email, Groups: slices.Clone(a.Groups), Signin: d.method, Mark: a.Hash.mark, Registered: a.Registered,
	}}
	if a.Email != "" {
		email, err := username.CanonicalEmail(a.Email)
		if err != nil {
			return err
		}
		if _, taken := d.byEmail[email]; taken {
			return fmt.Errorf("e-mail %q is another user's", a.Email)
		}
		if other, taken := d.byName[email]; taken {
			return fmt.Errorf("the e-mail address is the name of user %q", other.user.Name)
		}
		d.byEmail[email] = acc
	}
	d.byName[name], d.bySubject[subject] = acc, acc
	if a.Disabled {
		d.disabled = append(d.disabled, subject)
	}
	if !slices.ContainsFunc(d.classes, func(h Hash) bool { return h.class == a.Hash.class }) {
		d.classes = append(d.classes, a.Hash.decoy())
	}
	return nil
}

// checkGroups checks the groups that are written down for a user.
func checkGroups(groups []string) error {
	for _, g := range groups {
		switch {
		case g == "" || !oauth.CleanText(g):
			return fmt.Errorf("group %q is empty or has control characters", g)
		case strings.Contains(g, ","):
			return fmt.Errorf("group %q has a comma in it; write each group by itself, without commas", g)
		}
	}
	return nil
}

// lacks is the name of an account that another directory has and this one has
// not, or "".
func (d *userIndex) lacks(other *userIndex) string {
	for subject, a := range other.bySubject {
		if d.bySubject[subject] == nil {
			return a.user.Name
		}
	}
	return ""
}

// find returns the account of a typed user name or e-mail address, nil if there is
// none. A name that differs only in invisible characters has the same account, so
// that no other method is asked about it.
func (d *userIndex) find(name string) *account {
	name = strings.TrimSpace(name)
	if username.PrintableASCII(name) {
		// PRECIS changes only the case of such a name. This runs at every request.
		key := strings.ToLower(name)
		return cmp.Or(d.byEmail[key], d.byName[key])
	}
	if a := d.named(name); a != nil || len(name) > username.MaxName {
		return a
	}
	if c := username.Compatible(name); c != name {
		return d.named(c)
	}
	return nil
}

func (d *userIndex) named(name string) *account {
	if email, err := username.CanonicalEmail(name); err == nil {
		if a := d.byEmail[email]; a != nil {
			return a
		}
	}
	if c, err := username.Canonical(name); err == nil {
		return d.byName[c]
	}
	return nil
}
