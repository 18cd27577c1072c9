package local

import (
	"fmt"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
)

// usersFormat is how a file of users is edited.
var usersFormat = jsonlines.Format[UserRecord]{Kind: usersKind, Parse: ParseUserRecord}

// A UsersText is a file of users that is edited. Lines with errors are not changed.
type UsersText struct{ *jsonlines.Text[UserRecord] }

// ReadUsers reads a file of users.
func ReadUsers(path string) (UsersText, error) {
	text, err := usersFormat.Read(path)
	return UsersText{text}, err
}

// EditUsers changes a file of users, as [jsonlines.Format.Edit] does.
func EditUsers(path string, create bool, change func(UsersText) error) error {
	return usersFormat.Edit(path, create, func(t *jsonlines.Text[UserRecord]) error { return change(UsersText{t}) })
}

// CheckEdit returns the error that EditUsers would return, and writes nothing.
func CheckEdit(path string, create bool, change func(UsersText) error) error {
	return usersFormat.Check(path, create, func(t *jsonlines.Text[UserRecord]) error { return change(UsersText{t}) })
}

// Add adds a user. No other user may have one of its names.
func (u UsersText) Add(r UserRecord) error {
	all := newUserIndex("local")
	records, _ := u.Records()
	for _, other := range append(records, r) {
		// Only names are compared.
		err := all.add(Account{Name: other.Name, Email: other.Email, Groups: other.Groups, Subject: other.Subject, Hash: noHash})
		if err != nil && other.Name == r.Name {
			return err
		}
	}
	return u.Append(r)
}

// noHash is a placeholder if no hash is compared.
var noHash = Hash{class: "none", encoded: strings.Repeat("A", 60)}

// Change changes a user. The name is compared as at a sign-in.
func (u UsersText) Change(name string, change func(*UserRecord)) error {
	wanted, err := username.Canonical(name)
	i := -1
	if err == nil {
		i = u.Find(func(r UserRecord) bool {
			c, err := username.Canonical(r.Name)
			return err == nil && c == wanted
		})
	}
	if i < 0 {
		return fmt.Errorf("there is no user %q in the file; see: caddy sso user list", name)
	}
	return u.ChangeAt(i, change)
}
