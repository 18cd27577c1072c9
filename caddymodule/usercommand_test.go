package caddymodule

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/signinmethods"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
)

// asCommand in the environment makes the test binary run a `caddy sso`.
const asCommand = "CADDY_SSO_TEST_COMMAND"

// runCommand is Caddy's own main, which exits by itself where something went wrong.
func runCommand(args []string) int {
	os.Args = append([]string{"caddy", "sso"}, args...)
	caddycmd.Main()
	return 0
}

// commandEnv is the environment of a `caddy sso`. A program with the race detector
// sleeps for a second as it exits, unless it is told not to.
func commandEnv() []string {
	return append(os.Environ(), asCommand+"=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
}

// sso runs a `caddy sso` in a process of its own.
func sso(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = commandEnv()
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustSSO(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := sso(t, stdin, args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// signsIn reports whether a password is right, by the file alone.
func signsIn(t *testing.T, path, name, password string) bool {
	t.Helper()
	u, err := local.ReadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	records, problems := u.Records()
	for _, p := range problems {
		t.Log(p)
	}
	for _, r := range records {
		if r.Name == name && !r.Disabled {
			hash, err := local.ParseHash(r.Hash, signinmethods.Comparers)
			if err != nil {
				t.Fatal(err)
			}
			right, err := hash.Matches(password)
			return right && err == nil
		}
	}
	return false
}

func TestUsersOfAFileAreEditedByCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.jsonl")
	mustSSO(t, "hunter2\n", "user", "add", "ann", "--file", path, "--email", "ann@game.example", "--group", "players", "--group", "staff,beta")
	mustSSO(t, "swordfish", "user", "add", "bob", "-f", path, "--algorithm", "bcrypt")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if help := mustSSO(t, "", "user", "add", "--help"); !strings.Contains(help, "This command does not know the users of the Caddyfile") {
		t.Errorf("its help is\n%s", help)
	}
	if !signsIn(t, path, "ann", "hunter2") || signsIn(t, path, "ann", "hunter3") || !signsIn(t, path, "bob", "swordfish") {
		t.Error("a password is not the one that was given")
	}
	mustSSO(t, "another\r\n", "user", "passwd", "ANN", "--file", path)
	mustSSO(t, "", "user", "disable", "bob", "--file", path)
	if !signsIn(t, path, "ann", "another") || signsIn(t, path, "ann", "hunter2") || signsIn(t, path, "bob", "swordfish") {
		t.Error("what was changed is not in the file")
	}
	list := mustSSO(t, "", "user", "list", "--file", path)
	if !strings.Contains(list, `"ann"  ann@game.example  ["players" "staff" "beta"]  yes`) || !strings.Contains(list, `"bob"                    []                          no`) || strings.Contains(list, "$") {
		t.Errorf("it lists\n%s", list)
	}
	mustSSO(t, "", "user", "enable", "bob", "--file", path)
	if list := mustSSO(t, "", "user", "list", "--file", path); !strings.Contains(list, `"bob"                    []                          yes`) {
		t.Errorf("bob is still disabled; it lists\n%s", list)
	}
}

func TestAnEditOfUsersThatCannotBeLeavesTheFileAsItWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users.jsonl")
	before := ann + "a broken line\n" + strings.Replace(ann, "ann", "bob", 1)
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		stdin, want string
		args        []string
	}{
		"a name that is there":   {"x", "defined twice", []string{"add", "ANN", "--file", path}},
		"an e-mail that is none": {"x", "is no address", []string{"add", "zoe", "--email", "a@b@c", "--file", path}},
		"a subject that is none": {"x", "is no UUID", []string{"add", "zoe", "--subject", "17", "--file", path}},
		"a name that is none":    {"x", "cannot be used", []string{"add", "a\tb", "--file", path}},
		"no password":            {"\n", "expected a password", []string{"add", "zoe", "--file", path}},
		"a password too long":    {strings.Repeat("x", 1025), "expected a password", []string{"add", "zoe", "--file", path}},
		"too long for bcrypt":    {strings.Repeat("x", 73), "72 bytes", []string{"add", "zoe", "--algorithm", "bcrypt", "--file", path}},
		"another algorithm":      {"x", "expected argon2id or bcrypt", []string{"add", "zoe", "--algorithm", "md5", "--file", path}},
		"nobody to disable":      {"", "there is no user", []string{"disable", "zoe", "--file", path}},
		"nobody with a password": {"x", "there is no user", []string{"passwd", "zoe", "--file", path}},
		"a name with a space":    {"x", "without spaces", []string{"add", "ann lee", "--file", path}},
		"a name not to be seen":  {"x", "cannot be used", []string{"add", "zo\u200be", "--file", path}},
		"a group of nothing":     {"x", "is empty", []string{"add", "zoe", "--group", "", "--file", path}},
		"a group of a comma":     {"x", "is empty", []string{"add", "zoe", "--group", "players", "--group", "staff,", "--file", path}},
		"no file":                {"x", `required flag(s) "file"`, []string{"add", "zoe"}},
		"a file not there":       {"x", "is not there", []string{"disable", "zoe", "--file", path + "x"}},
		"a broken line":          {"", "line 2: ", []string{"list", "--file", path}},
	} {
		out, err := sso(t, c.stdin, append([]string{"user"}, c.args...)...)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	left, err := os.ReadDir(dir)
	if after, readErr := os.ReadFile(path); readErr != nil || string(after) != before || err != nil || len(left) != 1 {
		t.Errorf("the file is %q, beside %v; %v, %v", after, left, readErr, err)
	}
	// A broken line stays as it is, and keeps nobody from editing others.
	mustSSO(t, "", "user", "disable", "ann", "--file", path)
	if after, err := os.ReadFile(path); err != nil || !strings.Contains(string(after), "\na broken line\n") || strings.Count(string(after), "\n") != 3 {
		t.Errorf("%q, %v", after, err)
	}
}

func TestClass38NoCommandWorksOnAUserWhoseGroupHasAComma(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.jsonl")
	text := ann + strings.NewReplacer("ann", "eve", `"players"`, `"players,staff"`).Replace(ann)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"passwd", "eve"}, {"disable", "eve"}, {"enable", "eve"}} {
		if out, err := sso(t, "x\n", append([]string{"user"}, append(args, "--file", path)...)...); err == nil || !strings.Contains(out, "see: caddy sso user list") {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
	}
	out, err := sso(t, "", "user", "list", "--file", path)
	if err == nil || !strings.Contains(out, `group \"players,staff\" has a comma in it; write each group by itself`) {
		t.Errorf("%v\n%s", err, out)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != text {
		t.Errorf("the file is %q, %v", after, err)
	}
}

func TestAnEditOfUsersKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "users.jsonl"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte(ann), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil { //nolint:gosec // what is kept
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // nobody else can give a file away
		if err := os.Chown(path, 12345, 54321); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	mustSSO(t, "", "user", "disable", "ann", "--file", link)
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if is.Mode != was.Mode || is.Uid != was.Uid || is.Gid != was.Gid || is.Ino == was.Ino {
		t.Errorf("before %+v, after %+v", was, is)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
}

func TestEditsOfUsersAtOnceLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.jsonl")
	const n = 20
	var editing sync.WaitGroup
	for i := range n {
		editing.Go(func() {
			r := local.UserRecord{Name: fmt.Sprintf("user%d", i), Hash: demoHash}
			if err := local.EditUsers(path, true, func(u local.UsersText) error { return u.Add(r) }); err != nil {
				t.Error(err)
			}
		})
	}
	editing.Wait()
	u, err := local.ReadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	if records, problems := u.Records(); len(records) != n || len(problems) > 0 {
		t.Errorf("%d users, %v", len(records), problems)
	}
}
