package sso_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// modules are what caddy-sso adds to Caddy.
var modules = []string{
	"admin.api.sso",
	"http.handlers.sso_gate",
	"http.handlers.sso_portal",
	"sso",
	"sso.signin.backend",
	"sso.signin.local",
	"sso.signin.oidc",
	"sso.signin.trusted",
	"sso.storage.file",
	"sso.storage.memory",
	"sso.storage.redis",
}

// caddyVersion is the one that go.mod requires.
func caddyVersion(t *testing.T) string {
	t.Helper()
	for _, r := range readGoMod(t).Require {
		if r.Path == "github.com/caddyserver/caddy/v2" {
			return r.Version
		}
	}
	t.Fatal("go.mod does not require Caddy")
	return ""
}

func TestXcaddyLinesAreForTheVersionOfGoMod(t *testing.T) {
	want := "xcaddy build " + caddyVersion(t) + " --with " + module
	text, err := os.ReadFile("xcaddy.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	if !slices.Equal(lines, []string{want, want + "=./"}) {
		t.Errorf("xcaddy.txt has %q, want %q and the same with =./", lines, want)
	}
	for _, name := range []string{"sso.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not have the line %q", name, want)
		}
	}
}

// What xcaddy does: a module with a main of its own, that imports Caddy and us.
func TestABuildAsXcaddyDoesItHasEveryModule(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		// What the module needs is in the module cache, since this test runs.
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	write("main.go", `package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "`+module+`"
)

func main() { caddycmd.Main() }
`)
	m := readGoMod(t)
	var requires strings.Builder
	for _, r := range m.Require {
		fmt.Fprintf(&requires, "require %s %s\n", r.Path, r.Version)
	}
	write("go.mod", "module caddy\n\ngo "+m.Go+"\n\n"+requires.String())
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	write("go.sum", string(sums))
	run("go", "mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"="+here)
	// Without -trimpath, as `make build`, so that Caddy is compiled once.
	run("go", "build", "-tags", "nobadger,nomysql,nopgx", "-o", "caddy", ".")

	listed := strings.Fields(run(filepath.Join(dir, "caddy"), "list-modules", "--skip-standard"))
	for _, id := range modules {
		if !slices.Contains(listed, id) {
			t.Errorf("list-modules does not show %s", id)
		}
	}
	for _, id := range listed {
		if (strings.HasPrefix(id, "sso") || strings.Contains(id, ".sso")) && !slices.Contains(modules, id) {
			t.Errorf("list-modules shows %s, which this test does not know", id)
		}
	}
	if help := run(filepath.Join(dir, "caddy"), "sso", "session", "--help"); !strings.Contains(help, "Lists all sessions") {
		t.Errorf("the command is missing: %s", help)
	}
}
