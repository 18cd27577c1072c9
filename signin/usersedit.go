package signin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/fileaccess"
)

// editPatience is how long an edit waits for another one to end.
const editPatience = 5 * time.Second

// A UsersText is a file of users that is edited. What is wrong with a line
// stays as it is.
type UsersText struct {
	lines []userText
	cut   bool // within the last line
}

type userText struct {
	text   string // as it is in the file
	record UserRecord
	err    error // what is wrong with the line
}

// ReadUsers reads a file of users.
func ReadUsers(path string) (*UsersText, error) {
	text, _, err := readUsersFile(path)
	if err != nil {
		return nil, err
	}
	if err := misshapen(text); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	u := new(UsersText)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		t := userText{text: line}
		if blank := strings.TrimSpace(line); blank != "" {
			t.record, t.err = ParseUserRecord([]byte(blank))
		}
		u.lines = append(u.lines, t)
		u.cut = t.err != nil
	}
	u.cut = u.cut && !bytes.HasSuffix(text, []byte("\n"))
	return u, nil
}

// Records are the users, and what is wrong with other lines.
func (u *UsersText) Records() (records []UserRecord, problems []error) {
	for i, line := range u.lines {
		switch {
		case line.err != nil:
			problems = append(problems, fmt.Errorf("line %d: %w", i+1, line.err))
		case line.record.Name != "":
			records = append(records, line.record)
		}
	}
	return records, problems
}

// find is the line of a user name, compared as at a sign-in.
func (u *UsersText) find(name string) int {
	wanted, err := canonical(name)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(u.lines, func(line userText) bool {
		c, err := canonical(line.record.Name)
		return line.err == nil && err == nil && c == wanted
	})
}

// Add adds a user, whose names nobody else has.
func (u *UsersText) Add(r UserRecord) error {
	all := newDirectory("local")
	records, _ := u.Records()
	for _, other := range append(records, r) {
		// What is compared is names alone.
		err := all.add(Account{Name: other.Name, Email: other.Email, Groups: other.Groups, Subject: other.Subject, Hash: noHash})
		if err != nil && other.Name == r.Name {
			return err
		}
	}
	return u.put(len(u.lines), r)
}

// noHash stands for a hash where none is compared.
var noHash = Hash{class: "none", encoded: strings.Repeat("A", 60)}

// Change changes a user.
func (u *UsersText) Change(name string, change func(*UserRecord)) error {
	i := u.find(name)
	if i < 0 {
		return fmt.Errorf("there is no user %q in the file; see: caddy sso user list", name)
	}
	r := u.lines[i].record
	change(&r)
	return u.put(i, r)
}

func (u *UsersText) put(i int, r UserRecord) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("encoding a user: %w", err)
	}
	line := bytes.TrimSpace(text.Bytes())
	if _, err := ParseUserRecord(line); err != nil {
		return err
	}
	changed := userText{text: string(line), record: r}
	if i == len(u.lines) {
		u.lines = append(u.lines, changed)
	} else {
		u.lines[i] = changed
	}
	return nil
}

// EditUsers changes a file of users. It is replaced whole, with its mode and
// owner, so that who reads it sees the old one or the new one; of two edits at
// once one waits. With create it may not be there yet.
func EditUsers(path string, create bool, change func(*UsersText) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays one
	}
	beside, err := lockUsers(path + ".new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(beside.Name()) //nolint:errcheck // the error that counts is returned
		}
	}()
	defer beside.Close()
	u, err := edit(path, create, change)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil {
		if err := fileaccess.Keep(beside, info); err != nil {
			return fmt.Errorf("keeping the mode and owner of %s: %w", path, err)
		}
	}
	var text strings.Builder
	for _, line := range u.lines {
		text.WriteString(line.text + "\n")
	}
	_, err = beside.WriteString(text.String())
	if err = errors.Join(err, beside.Sync(), beside.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", beside.Name(), err)
	}
	return os.Rename(beside.Name(), path)
}

// CheckEdit says what EditUsers would, and writes nothing.
func CheckEdit(path string, create bool, change func(*UsersText) error) error {
	_, err := edit(path, create, change)
	return err
}

// edit changes what was read of a file.
func edit(path string, create bool, change func(*UsersText) error) (*UsersText, error) {
	u, err := ReadUsers(path)
	if create && errors.Is(err, os.ErrNotExist) {
		u, err = new(UsersText), nil
	}
	if err != nil {
		return nil, err
	}
	if u.cut {
		return nil, fmt.Errorf("%s looks cut off, since its last line has no end; restore it, or remove that line", path)
	}
	if records, problems := u.Records(); len(records) == 0 && len(problems) > 0 {
		return nil, noUser(fmt.Errorf("%s: %w", path, problems[0]))
	}
	return u, change(u)
}

// lockUsers makes the file that will take the place of the other one, which
// only one edit at a time can.
func lockUsers(path string) (*os.File, error) {
	for deadline := time.Now().Add(editPatience); ; time.Sleep(20 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("another edit is under way; if there is none, remove %s", path)
		}
	}
}
