package local_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/local/localtest"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// usersFixture is a Local with a user "root" of the configuration and a file.
type usersFixture struct {
	t      *testing.T
	work   *localtest.Hashes
	path   string
	method *local.Method
	log    *observer.ObservedLogs
	tick   int
}

func newUsersFixture(t *testing.T, lines ...string) *usersFixture {
	t.Helper()
	u := &usersFixture{t: t, work: &localtest.Hashes{Passwords: map[string]string{}}, path: filepath.Join(t.TempDir(), "users.jsonl")}
	var err error
	u.method, err = local.New("local", []local.Account{{Name: "Root", Hash: u.work.Hash(t, 10, "root"), Email: "root@game.example"}})
	if err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zapcore.WarnLevel)
	u.log = log
	u.method.UseFile(u.path, local.Comparers{Bcrypt: u.work.Compare}, zap.New(core))
	u.write(strings.Join(append(lines, "\n"), ""))
	if err := u.method.Open(nil); err != nil {
		t.Fatal(err)
	}
	return u
}

// line is one of a user, whose password is the name.
func (u *usersFixture) line(r local.UserRecord) string {
	u.t.Helper()
	r.Hash = u.work.Encoded(10, r.Name)
	text, err := json.Marshal(r)
	if err != nil {
		u.t.Fatal(err)
	}
	return string(text) + "\n"
}

// write writes the file in place, at a time of its own.
func (u *usersFixture) write(text string) {
	u.t.Helper()
	if err := os.WriteFile(u.path, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	u.tick++
	at := time.Unix(1_700_000_000+int64(u.tick), 0)
	if err := os.Chtimes(u.path, at, at); err != nil {
		u.t.Fatal(err)
	}
}

// changed writes the file, and waits until it counts.
func (u *usersFixture) changed(lines ...string) {
	u.t.Helper()
	u.write(strings.Join(lines, ""))
	u.method.File().Look()
	u.method.File().Look()
}

func (u *usersFixture) signsIn(name, password string) (session.User, bool) {
	u.t.Helper()
	user, err := u.method.Check(u.t.Context(), signin.Credentials{Name: name, Password: password})
	if err != nil && !errors.Is(err, signin.ErrWrong) {
		u.t.Fatal(err)
	}
	return user, err == nil
}

func (u *usersFixture) want(names ...string) {
	u.t.Helper()
	for _, name := range []string{"root", "ann", "bob", "cat"} {
		if _, ok := u.signsIn(name, map[string]string{"root": "root", "ann": "ann", "bob": "bob", "cat": "cat"}[name]); ok != slices.Contains(names, name) {
			u.t.Errorf("%s signs in: %v", name, ok)
		}
	}
}

// logged are the warnings since it was last asked.
func (u *usersFixture) logged() []string {
	var texts []string
	for _, e := range u.log.TakeAll() {
		text, _ := e.ContextMap()["error"].(string)
		texts = append(texts, text)
	}
	return texts
}

func TestUsersOfAFileSignInAsItSaysNow(t *testing.T) {
	u := newUsersFixture(t)
	u.want("root")
	line := u.line(local.UserRecord{Name: "ann", Email: "Ann@Game.example", Groups: []string{"players"}})
	u.changed(line, u.line(local.UserRecord{Name: "bob"}))
	u.want("root", "ann", "bob")
	ann, ok := u.signsIn(" ANN@game.example ", "ann")
	if !ok || ann.Name != "ann" || !slices.Equal(ann.Groups, []string{"players"}) || ann.Signin != "local" {
		t.Fatalf("got %+v, %v", ann, ok)
	}
	if want := subjects.Derive("local", "ann"); ann.Subject != want {
		t.Errorf("in a file the subject is %s, in the configuration %s", ann.Subject, want)
	}
	u.changed(strings.Replace(line, `"email":"Ann@Game.example","groups":["players"]`, `"groups":["staff"]`, 1))
	u.want("root", "ann")
	if now, ok := u.method.Current(ann); !ok || !slices.Equal(now.Groups, []string{"staff"}) || now.Email != "" {
		t.Errorf("now she is %+v, %v", now, ok)
	}
	if texts := u.logged(); len(texts) > 0 {
		t.Errorf("logged %q", texts)
	}
}

func TestWhoLeavesTheFileOrIsDisabledIsSignedOut(t *testing.T) {
	for name, after := range map[string]func(u *usersFixture) string{
		"gone": func(u *usersFixture) string { return u.line(local.UserRecord{Name: "bob"}) },
		"disabled": func(u *usersFixture) string {
			return u.line(local.UserRecord{Name: "ann", Disabled: true}) + u.line(local.UserRecord{Name: "bob"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUsersFixture(t)
			u.changed(u.line(local.UserRecord{Name: "ann"}))
			ann, _ := u.signsIn("ann", "ann")
			if _, ok := u.method.Current(ann); !ok {
				t.Fatal("she is not there")
			}
			u.changed(after(u))
			if _, ok := u.method.Current(ann); ok {
				t.Error("she still has her session")
			}
			u.want("root", "bob")
			if _, taken := u.method.Find("ANN"); taken != (name == "disabled") {
				t.Errorf("her name is kept from others: %v", taken)
			}
		})
	}
}

func TestABrokenLineIsReportedAndLosesNobodyElse(t *testing.T) {
	const hash = "$2a$10$00000000000000000000000000000000000000000000000000001"
	for name, c := range map[string]struct{ line, want string }{
		"no JSON":                  {"ann:" + hash, `expected one user, such as {"name"`},
		"a list":                   {`[]`, "expected one user"},
		"an unknown member":        {`{"name":"x","password":"secret"}`, `unknown field "password"`},
		"two on a line":            {`{"name":"x","hash":"` + hash + `"} {"name":"y"}`, "more on the line"},
		"no name":                  {`{"hash":"` + hash + `"}`, "name is missing"},
		"no hash":                  {`{"name":"x"}`, "caddy hash-password"},
		"a password for a hash":    {`{"name":"x","hash":"hunter2"}`, "caddy hash-password"},
		"an e-mail with two @":     {`{"name":"x","hash":"` + hash + `","email":"a@b@c"}`, "is no address such as"},
		"a subject that is none":   {`{"name":"x","hash":"` + hash + `","subject":"1"}`, "is no UUID"},
		"a group that is none":     {`{"name":"x","hash":"` + hash + `","groups":[""]}`, "is empty"},
		"a group with a comma":     {`{"name":"x","hash":"` + hash + `","groups":["a","b,c"]}`, `group "b,c" has a comma in it; write each group by itself`},
		"a name of the Caddyfile":  {`{"name":"ROOT","hash":"` + hash + `"}`, "defined twice"},
		"its e-mail address":       {`{"name":"x","hash":"` + hash + `","email":"ROOT@game.example"}`, "another user's"},
		"its e-mail as a name":     {`{"name":"root@game.example","hash":"` + hash + `"}`, "is the e-mail address of"},
		"a name of the file":       {`{"name":"Ann","hash":"` + hash + `"}`, "defined twice"},
		"a subject of another":     {`{"name":"x","hash":"` + hash + `","subject":"` + subjects.Derive("local", "ann") + `"}`, "another user's"},
		"control characters":       {`{"name":"a\u0000b","hash":"` + hash + `"}`, "cannot be used"},
		"a line that is too deep":  {strings.Repeat("[", 20_000), "expected one user"},
		"a name that is a number":  {`{"name":1,"hash":"` + hash + `"}`, "expected one user"},
		"half a line, in a middle": {`{"name":"x","ha`, "expected one user"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUsersFixture(t)
			u.changed(u.line(local.UserRecord{Name: "ann"}), "\n", c.line, "\n", u.line(local.UserRecord{Name: "bob"}))
			u.want("root", "ann", "bob")
			texts := u.logged()
			if len(texts) != 1 || !strings.HasPrefix(texts[0], u.path+":3: ") || !strings.Contains(texts[0], c.want) ||
				strings.Contains(texts[0], hash[8:]) || strings.Contains(texts[0], "hunter2") {
				t.Errorf("logged %q", texts)
			}
		})
	}
}

func TestTheLogOfManyBrokenLinesIsBounded(t *testing.T) {
	u := newUsersFixture(t)
	u.changed(strings.Repeat("x\n", 1000), u.line(local.UserRecord{Name: "ann"}))
	u.want("root", "ann")
	if n := len(u.logged()); n != jsonlines.MaxProblems+1 {
		t.Errorf("%d lines logged", n)
	}
}

func TestALastLineThatIsHalfWrittenIsNoErrorYet(t *testing.T) {
	u := newUsersFixture(t)
	ann, bob := u.line(local.UserRecord{Name: "ann"}), u.line(local.UserRecord{Name: "bob"})
	u.changed(ann, bob[:len(bob)/2])
	u.want("root", "ann")
	if texts := u.logged(); len(texts) > 0 {
		t.Errorf("logged %q", texts)
	}
	u.changed(ann, strings.TrimSuffix(bob, "\n"))
	u.want("root", "ann", "bob")
	cat := u.line(local.UserRecord{Name: "cat"})
	u.changed(ann, bob, cat[:len(cat)/2])
	u.want("root", "ann", "bob")
	for range 3 * jsonlines.Patience {
		u.method.File().Look()
	}
	if texts := u.logged(); len(texts) != 1 || !strings.HasPrefix(texts[0], u.path+":3: ") {
		t.Errorf("nobody finished it, and it logged %q", texts)
	}
}

func TestAFileThatIsWrittenInPlaceSignsNobodyOutMeanwhile(t *testing.T) {
	u := newUsersFixture(t)
	ann := u.line(local.UserRecord{Name: "ann"})
	u.changed(ann)
	u.write("") // truncated, to be written again
	u.method.File().Look()
	u.want("root", "ann")
	u.write(ann + u.line(local.UserRecord{Name: "bob"}))
	u.method.File().Look()
	u.want("root", "ann")
	u.method.File().Look()
	u.want("root", "ann", "bob")
	for i := range 2 * jsonlines.Patience { // one that never rests is read, too
		u.write(ann + strings.Repeat("\n", i))
		u.method.File().Look()
	}
	u.want("root", "ann")
}

func TestAFileThatIsCutOffLosesNobody(t *testing.T) {
	for name, c := range map[string]struct {
		Excerpt func(ann, bob string) string
		want    []string
	}{
		"empty":                       {func(string, string) string { return "" }, nil},
		"within a line":               {func(ann, bob string) string { return ann + bob[:len(bob)/2] }, nil},
		"within the first line":       {func(ann, _ string) string { return ann[:1] }, nil},
		"overwritten with zeros":      {func(ann, bob string) string { return strings.Repeat("\x00", len(ann+bob)) }, nil},
		"half, and nobody is missing": {func(ann, bob string) string { return ann + bob + ann[:9] }, nil},
		"emptied by an empty line":    {func(string, string) string { return "\n" }, []string{"root"}},
		"one whole line less":         {func(ann, _ string) string { return ann }, []string{"root", "ann"}},
		"a whole line without an end": {func(ann, _ string) string { return strings.TrimSpace(ann) }, []string{"root", "ann"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUsersFixture(t)
			ann, bob := u.line(local.UserRecord{Name: "ann"}), u.line(local.UserRecord{Name: "bob"})
			u.changed(ann, bob)
			session, _ := u.signsIn("bob", "bob")
			u.changed(c.Excerpt(ann, bob))
			for range 3 * jsonlines.Patience {
				u.method.File().Look()
			}
			if c.want != nil {
				u.want(c.want...)
				return
			}
			u.want("root", "ann", "bob")
			if _, ok := u.method.Current(session); !ok {
				t.Error("bob was signed out")
			}
			if texts := u.logged(); len(texts) != 1 || !strings.Contains(texts[0], u.path) {
				t.Errorf("logged %q", texts)
			}
			cat := u.line(local.UserRecord{Name: "cat"})
			u.changed(ann, cat)
			u.want("root", "ann", "cat")
		})
	}
}

func TestAFileThatIsReplacedCounts(t *testing.T) {
	u := newUsersFixture(t)
	ann, bob := u.line(local.UserRecord{Name: "ann"}), u.line(local.UserRecord{Name: "bob"})
	u.changed(ann)
	before, err := os.Stat(u.path)
	if err != nil {
		t.Fatal(err)
	}
	beside := u.path + ".tmp"
	if err := os.WriteFile(beside, []byte(bob), 0o600); err != nil {
		t.Fatal(err)
	}
	// Size and time are the same: only the file is another.
	if err := os.Chtimes(beside, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(beside, u.path); err != nil {
		t.Fatal(err)
	}
	u.method.File().Look()
	u.method.File().Look()
	u.want("root", "bob")
}

func TestAFileThatCannotBeReadLosesNobody(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"gone":      os.Remove,
		"a folder":  func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"too large": func(path string) error { return os.Truncate(path, jsonlines.MaxBytes+1) },
		"too many": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("x\n", local.UsersKind.MaxLines+1)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUsersFixture(t)
			u.changed(u.line(local.UserRecord{Name: "ann"}))
			if err := spoil(u.path); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				u.method.File().Look()
			}
			u.want("root", "ann")
			if texts := u.logged(); len(texts) != 1 {
				t.Errorf("logged %q", texts)
			}
			if err := os.RemoveAll(u.path); err != nil {
				t.Fatal(err)
			}
			u.changed(u.line(local.UserRecord{Name: "bob"}))
			u.want("root", "bob")
		})
	}
}

func TestAfterVersionsThatCannotCountTheNextIsLookedAtTwice(t *testing.T) {
	u := newUsersFixture(t)
	ann, bob := u.line(local.UserRecord{Name: "ann"}), u.line(local.UserRecord{Name: "bob"})
	u.changed(ann, bob)
	for i := range jsonlines.Patience {
		u.changed("[" + strings.Repeat(" ", i) + "]\n")
	}
	u.write(ann) // of which a program has written half
	u.method.File().Look()
	u.want("root", "ann", "bob")
	u.method.File().Look()
	u.want("root", "ann")
}

func TestClass29TheSameWorkForUsersOfTheFile(t *testing.T) {
	u := newUsersFixture(t)
	cat := strings.Replace(u.line(local.UserRecord{Name: "cat"}), "$10$", "$12$", 1)
	u.changed(u.line(local.UserRecord{Name: "ann"}), u.line(local.UserRecord{Name: "bob", Disabled: true}), cat)
	for _, name := range []string{"root", "ann", "bob", "cat", "nobody"} {
		u.signsIn(name, "wrong")
		if got := fmt.Sprint(u.work.Take()); got != "[$2a$10$ $2a$12$]" {
			t.Errorf("%s: compared %s", name, got)
		}
	}
}

func TestAFileOfUsersSaysWhenAccountsWereMade(t *testing.T) {
	u := newUsersFixture(t)
	u.changed(u.line(local.UserRecord{Name: "ann", Registered: "2019-04-27"}), u.line(local.UserRecord{Name: "bob"}), u.line(local.UserRecord{Name: "eve", Registered: "soon"}))
	for name, want := range map[string]int64{"ann": time.Date(2019, 4, 27, 0, 0, 0, 0, time.UTC).Unix(), "bob": 0} {
		got, there := u.method.Find(name)
		if !there || got.Registered != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, there := u.method.Find("eve"); there {
		t.Error("a line that is wrong counts")
	}
	if lines := u.log.TakeAll(); len(lines) != 1 || !strings.Contains(lines[0].ContextMap()["error"].(string), `user "eve": registered "soon"`) {
		t.Errorf("the log has %v", lines)
	}
}
