package caddymodule

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A terminal is one that a `caddy sso user` runs at.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	typing io.WriteCloser
	shown  strings.Builder
}

// atTerminal runs a command at a real terminal, and afterwards asks that terminal
// how it is.
func atTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	script, err := exec.LookPath("script")
	if err != nil {
		t.Fatal("script is missing; install the Debian package bsdutils")
	}
	at := &terminal{t: t, dir: t.TempDir()}
	at.cmd = exec.CommandContext(t.Context(), script, "-qec", fmt.Sprintf(
		`cd %s; sh -c 'tty >tty; echo $$ >pid.new; mv pid.new pid; exec "$0" "$@"' %s %s; ended=$?; stty -a >after; exit $ended`,
		at.dir, os.Args[0], strings.Join(args, " ")), "/dev/null")
	at.cmd.Env = append(commandEnv(), "SHELL=/bin/sh")
	at.cmd.Stdout, at.cmd.Stderr = &at.shown, &at.shown
	if at.typing, err = at.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := at.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return at
}

func (at *terminal) file(name string) string {
	text, err := os.ReadFile(filepath.Join(at.dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// asked waits until the command asks for a password.
func (at *terminal) asked() {
	at.t.Helper()
	eventually(at.t, "the command has a terminal that shows nothing", func() bool {
		if at.file("pid") == "" {
			return false
		}
		out, err := exec.CommandContext(at.t.Context(), "stty", "-F", at.file("tty"), "-a").Output()
		return err == nil && strings.Contains(string(out), "-echo ")
	})
}

// ended waits for the end of the command, after which the terminal shows what is
// typed, as it did before.
func (at *terminal) ended() error {
	at.t.Helper()
	err := at.cmd.Wait()
	at.typing.Close()
	after := " " + strings.ReplaceAll(at.file("after"), "\n", " ")
	for _, has := range []string{" echo ", " icanon ", " isig "} {
		if !strings.Contains(after, has) {
			at.t.Errorf("without%s the terminal is left as %s", has, after)
		}
	}
	return err
}

// A real terminal: the password is asked twice, and not shown.
func TestATerminalDoesNotShowThePassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.jsonl")
	for _, second := range []string{"hunter2", "hunter3"} {
		at := atTerminal(t, "user", "add", "ann-"+second, "--file", path)
		at.asked()
		io.WriteString(at.typing, "hunter2\r"+second+"\r") //nolint:errcheck // the command would fail
		err := at.ended()
		if same := second == "hunter2"; (err == nil) != same {
			t.Errorf("%s: %v\n%s", second, err, &at.shown)
		}
		if text := at.shown.String(); strings.Contains(text, "hunter") && !strings.Contains(text, "ann-hunter") || !strings.Contains(text, "Password: ") {
			t.Errorf("the terminal shows %q", text)
		}
	}
	if !signsIn(t, path, "ann-hunter2", "hunter2") {
		t.Error("the password is not the one that was typed")
	}
}

func TestATerminalIsAsItWasAfterWhateverEndsTheQuestion(t *testing.T) {
	for name, end := range map[string]func(at *terminal, pid int){
		"Ctrl-C":           func(at *terminal, _ int) { io.WriteString(at.typing, "\x03") },          //nolint:errcheck // it would not end
		"Ctrl-D":           func(at *terminal, _ int) { io.WriteString(at.typing, "\x04") },          //nolint:errcheck // it would not end
		"Ctrl-D, later":    func(at *terminal, _ int) { io.WriteString(at.typing, "hunter2\r\x04") }, //nolint:errcheck // it would not end
		"an interrupt":     func(_ *terminal, pid int) { syscall.Kill(pid, syscall.SIGINT) },         //nolint:errcheck // it would not end
		"a termination":    func(_ *terminal, pid int) { syscall.Kill(pid, syscall.SIGTERM) },        //nolint:errcheck // it would not end
		"a line that died": func(_ *terminal, pid int) { syscall.Kill(pid, syscall.SIGHUP) },         //nolint:errcheck // it would not end
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "users.jsonl")
			at := atTerminal(t, "user", "add", "ann", "--file", path)
			at.asked()
			pid, err := strconv.Atoi(at.file("pid"))
			if err != nil {
				t.Fatal(err)
			}
			end(at, pid)
			if at.ended() == nil {
				t.Error("it succeeded")
			}
			if strings.HasPrefix(name, "Ctrl") && !strings.Contains(at.shown.String(), "nothing was changed") {
				t.Errorf("it says %q", at.shown.String())
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("a user was added")
			}
		})
	}
}

func TestNobodyIsAskedForAPasswordThatCannotBeKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.jsonl")
	if err := os.WriteFile(path, []byte(ann), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"there is no user": {"passwd", "zoe"}, "defined twice": {"add", "ANN"}, "without spaces": {"add", "'ann lee'"},
	} {
		at := atTerminal(t, append(append([]string{"user"}, args...), "--file", path)...)
		if err := at.ended(); err == nil || !strings.Contains(at.shown.String(), want) || strings.Contains(at.shown.String(), "Password:") {
			t.Errorf("%s: %v, %q", args, err, &at.shown)
		}
	}
}
