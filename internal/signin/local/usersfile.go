package local

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A UserRecord is one line of a file of users.
type UserRecord struct {
	Name     string   `json:"name"`
	Hash     string   `json:"hash"`
	Email    string   `json:"email,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Subject  string   `json:"subject,omitempty"`
	Disabled bool     `json:"disabled,omitempty"`

	// Registered is when the account was made: see [userinfo.ParseRegistered].
	Registered string `json:"registered,omitempty"`
}

// CheckUsersFile returns an error if no user can be read from a file of users.
func CheckUsersFile(path string) error { return usersKind.Check(path) }

// usersKind describes a file of users.
var usersKind = jsonlines.Kind{
	One: "user", Many: "users",
	Example:  `{"name":"ann","hash":"$argon2id$…","email":"ann@game.example","groups":["players"]}`,
	Create:   "caddy sso user add <name>",
	MaxLines: 500_000,
}

// UseFile adds the users of a file of JSON lines, which other programs may change at
// any time. Errors of a line are logged. It must be called before Open.
func (l *Method) UseFile(path string, c Comparers, log *zap.Logger) {
	hashes := map[string]Hash{} // of the version that counts, since reading one takes work
	l.file = jsonlines.Follow(usersKind, path, func() jsonlines.Draft {
		return &usersDraft{method: l, comparers: c, before: &hashes, all: l.configured.clone(), hashes: map[string]Hash{}}
	}, log)
}

// Open implements [signin.Opener]: it reads the file of users.
func (l *Method) Open(storage.Store) error {
	if l.file == nil {
		return nil
	}
	return l.file.Open()
}

// Watch implements [signin.Watcher]: it follows the file of users.
func (l *Method) Watch(ctx context.Context) {
	if l.file != nil {
		l.file.Watch(ctx)
	}
}

// usersDraft is a version of the file of users.
type usersDraft struct {
	method    *Method
	comparers Comparers
	before    *map[string]Hash
	hashes    map[string]Hash
	all       *userIndex
}

// Add implements [jsonlines.Draft].
func (d *usersDraft) Add(line []byte) (known bool, err error) {
	r, err := ParseUserRecord(line)
	if err != nil {
		return false, err
	}
	hash, read := (*d.before)[r.Hash]
	if !read {
		if hash, err = ParseHash(r.Hash, d.comparers); err != nil {
			return false, fmt.Errorf("user %q: %w", r.Name, err)
		}
	}
	d.hashes[hash.encoded] = hash
	registered, err := userinfo.ParseRegistered(r.Registered)
	if err != nil {
		return true, fmt.Errorf("user %q: %w", r.Name, err)
	}
	return true, d.all.add(Account{
		Name: r.Name, Hash: hash, Email: r.Email, Groups: r.Groups, Subject: r.Subject, Registered: registered, Disabled: r.Disabled,
	})
}

// Lost implements [jsonlines.Draft].
func (d *usersDraft) Lost() string { return d.all.lacks(d.method.now.Load()) }

// Commit implements [jsonlines.Draft].
func (d *usersDraft) Commit() {
	*d.before = d.hashes
	d.method.now.Store(d.all)
}

var subjectUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// ParseUserRecord reads one line. Its errors contain no part of the hash.
func ParseUserRecord(line []byte) (UserRecord, error) {
	var r UserRecord
	if err := usersKind.Decode(line, &r); err != nil {
		return UserRecord{}, err
	}
	switch {
	case r.Name == "":
		return UserRecord{}, errors.New("name is missing")
	case r.Subject != "" && !subjectUUID.MatchString(r.Subject):
		return UserRecord{}, fmt.Errorf("user %q: subject %q is no UUID in lower case", r.Name, r.Subject)
	}
	_, err := userinfo.ParseRegistered(r.Registered)
	if err := errors.Join(checkGroups(r.Groups), err); err != nil {
		return UserRecord{}, fmt.Errorf("user %q: %w", r.Name, err)
	}
	return r, nil
}
