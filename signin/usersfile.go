package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"

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

	// Registered is when the account was made: see [ParseRegistered].
	Registered string `json:"registered,omitempty"`
}

const (
	// Bounds on a file of users: in bytes, and in lines with a user.
	maxUsersFile = 64 << 20
	maxUsers     = 500_000

	// usersInterval is how often the file is looked at. A version counts once
	// it was the same twice in a row, so that a program which writes it anew in
	// place, and takes less than this, signs nobody out meanwhile; a file that
	// never stops changing is read after so many looks all the same.
	usersInterval = time.Second
	usersPatience = 10

	// maxProblems bounds the lines in the log about one version of the file.
	maxProblems = 20
)

// usersFile is a file of users and what was seen of it. Open, and then Watch,
// are alone with it.
type usersFile struct {
	path      string
	comparers Comparers
	log       *zap.Logger

	hashes     map[string]Hash // of the version that counts, since reading one takes work
	read, seen os.FileInfo     // the version that counts, and the one of the last look
	unusable   os.FileInfo     // a version that was read, and whose content cannot count
	looks      int             // since the file began to change, or came to rest
	unfinished error           // what is wrong with a last line that may yet grow
	failure    string          // of the last look, to log it once
}

// UseFile adds the users of a file of JSON lines, which other programs may
// change at any time. What is wrong with a line is logged. It is called before
// Open.
func (l *Local) UseFile(path string, c Comparers, log *zap.Logger) {
	l.file = &usersFile{path: path, comparers: c, log: log}
}

// Open implements [Opener]: it reads the file of users. There is no version of
// before to tell who is missing, so one that is cut off within its last line is
// none.
func (l *Local) Open(storage.Store) error {
	if l.file == nil {
		return nil
	}
	if err := l.load(); err != nil {
		return err
	}
	if err := l.file.unfinished; err != nil {
		return fmt.Errorf("%s looks cut off, since its last line has no end; restore it, or remove that line: %w", l.file.path, err)
	}
	return nil
}

// Watch implements [Watcher]: it follows the file of users.
func (l *Local) Watch(ctx context.Context) {
	if l.file == nil {
		return
	}
	ticker := time.NewTicker(usersInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.look()
		}
	}
}

// look reads the file if it has changed. While it cannot be read, the users are
// those that it had: nobody is signed out for what is wrong with a disk.
func (l *Local) look() {
	f := l.file
	info, err := os.Stat(f.path)
	if err == nil && sameVersion(f.unusable, info) {
		return // as was logged
	}
	if err == nil && !sameVersion(f.read, info) {
		if !sameVersion(f.seen, info) && f.looks < usersPatience {
			f.seen, f.looks = info, f.looks+1
			return
		}
		err = l.load()
	} else if err == nil {
		f.rest()
	}
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if failure != "" && failure != f.failure {
		f.log.Error("the file of users cannot be read; its users are those of before", zap.String("file", f.path), zap.Error(err))
	}
	f.failure = failure
}

// rest reports a last line that nobody finishes.
func (f *usersFile) rest() {
	f.seen = nil
	if f.unfinished == nil {
		f.looks = 0
		return
	}
	if f.looks++; f.looks >= usersPatience {
		f.log.Warn("a line of the file of users is left out", zap.Error(f.unfinished))
		f.unfinished = nil
	}
}

// sameVersion says whether two looks found the same file, unchanged.
func sameVersion(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// load reads the file whole, and makes its users count in one step.
func (l *Local) load() error {
	f := l.file
	text, info, err := readUsersFile(f.path)
	if err != nil {
		return err
	}
	if err := misshapen(text); err != nil {
		f.reject(info)
		return fmt.Errorf("%s %w", f.path, err)
	}
	hashes := map[string]Hash{}
	all := l.configured.clone()
	var problems []error
	var unfinished error
	number, lines, users := 0, 0, 0
	for line := range bytes.Lines(text) {
		number++
		whole := bytes.HasSuffix(line, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if lines++; lines > maxUsers {
			f.reject(info)
			return fmt.Errorf("%s has more than %d users", f.path, maxUsers)
		}
		record, err := ParseUserRecord(line)
		if err == nil {
			err = f.add(all, record, hashes)
		} else if !whole && !json.Valid(line) {
			unfinished = fmt.Errorf("%s:%d: %w", f.path, number, err)
			continue
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", f.path, number, err))
			continue
		}
		users++
	}
	if lost := all.lacks(l.now.Load()); lost != "" && unfinished != nil {
		f.reject(info)
		return fmt.Errorf("%s looks cut off: user %q is gone, and its last line has no end; restore it, or remove that line", f.path, lost)
	}
	if lines > 0 && len(hashes) == 0 {
		f.reject(info)
		return noUser(append(problems, unfinished)[0])
	}
	for i, problem := range problems {
		if i == maxProblems {
			f.log.Warn("more lines of the file of users are left out", zap.String("file", f.path), zap.Int("lines", len(problems)-i))
			break
		}
		f.log.Warn("a line of the file of users is left out", zap.Error(problem))
	}
	f.hashes, f.read, f.seen, f.looks, f.unfinished = hashes, info, nil, 0, unfinished
	l.now.Store(all)
	f.log.Info("the file of users was read", zap.String("file", f.path), zap.Int("users", users))
	return nil
}

// reject notes a version that cannot count. The next one is looked at anew.
func (f *usersFile) reject(version os.FileInfo) { f.unusable, f.seen, f.looks = version, nil, 0 }

func (f *usersFile) add(all *directory, r UserRecord, hashes map[string]Hash) error {
	hash, known := f.hashes[r.Hash]
	if !known {
		var err error
		if hash, err = ParseHash(r.Hash, f.comparers); err != nil {
			return fmt.Errorf("user %q: %w", r.Name, err)
		}
	}
	hashes[hash.encoded] = hash
	registered, err := ParseRegistered(r.Registered)
	if err != nil {
		return fmt.Errorf("user %q: %w", r.Name, err)
	}
	return all.add(Account{
		Name: r.Name, Hash: hash, Email: r.Email, Groups: r.Groups, Subject: r.Subject, Registered: registered, Disabled: r.Disabled,
	})
}

// readUsersFile reads a bounded regular file: any other might never end.
func readUsersFile(path string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("the file of users is not there; make it with: caddy sso user add <name> --file %s: %w", path, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the file of users: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("the file of users: %w", err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, nil, fmt.Errorf("the file of users: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxUsersFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("the file of users: %w", err)
	}
	if text = bytes.TrimPrefix(text, []byte(byteOrderMark)); len(text) == 0 {
		return nil, nil, fmt.Errorf("%s is empty, as a file is that was cut off; restore it, or, if it is to have no user, write an empty line", path)
	}
	if len(text) > maxUsersFile {
		return nil, nil, fmt.Errorf("%s is larger than %d MiB", path, maxUsersFile>>20)
	}
	return text, info, nil
}

var subjectUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// ParseUserRecord reads one line. No error of it holds a part of the hash.
func ParseUserRecord(line []byte) (UserRecord, error) {
	var r UserRecord
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(&r)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more on the line")
		}
	}
	switch {
	case err != nil:
		return UserRecord{}, fmt.Errorf(`%s; expected one user, such as {"name":"ann","hash":"$argon2id$…","email":"ann@game.example","groups":["players"]}`,
			strings.TrimPrefix(err.Error(), "json: "))
	case r.Name == "":
		return UserRecord{}, errors.New("name is missing")
	case r.Subject != "" && !subjectUUID.MatchString(r.Subject):
		return UserRecord{}, fmt.Errorf("user %q: subject %q is no UUID in lower case", r.Name, r.Subject)
	}
	_, err = ParseRegistered(r.Registered)
	if err := errors.Join(checkGroups(r.Groups), err); err != nil {
		return UserRecord{}, fmt.Errorf("user %q: %w", r.Name, err)
	}
	return r, nil
}
