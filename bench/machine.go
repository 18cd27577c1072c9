package main

import (
	"bufio"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is what the figures were taken on, and with.
type machine struct {
	cpu, kernel, load string
	cores             int
	memory            int64 // bytes
	goVersion         string
	caddyVersion      string
	wrkVersion        string
}

// check says what is missing before anything is begun.
func (r *run) check() error {
	for tool, pkg := range map[string]string{"wrk": "wrk", "taskset": "util-linux", "redis-server": "redis-server"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing; install the Debian package %s", tool, pkg)
		}
	}
	if runtime.NumCPU() < 2 {
		return errors.New("this takes two cores: one for Caddy and one for the load")
	}
	if r.slice < time.Second || r.slice%time.Second != 0 {
		return fmt.Errorf("-slice is %s; wrk takes whole seconds", r.slice)
	}
	if r.rounds < 1 || r.connections < 1 || r.sessions < 1 || r.stored < 3*endingUsers*endingSessions {
		return fmt.Errorf("-rounds, -connections and -sessions have to be positive, and -stored at least %d", 3*endingUsers*endingSessions)
	}
	switch r.only {
	case "", "gate", "auth", "token", "license", "revoke", "ending", "go":
	default:
		return fmt.Errorf("-only is %q; expected gate, auth, token, license, revoke, ending or go", r.only)
	}
	if _, err := os.Stat("../cmd/caddy"); err != nil {
		return errors.New("../cmd/caddy is not there; run this in the folder bench of the project")
	}
	return nil
}

// describe reads what this machine is, and what the binary was built from.
func describe(caddy string) (machine, error) {
	m := machine{cores: runtime.NumCPU()}
	built, err := buildinfo.ReadFile(caddy)
	if err != nil {
		return m, fmt.Errorf("reading how %s was built: %w", caddy, err)
	}
	m.goVersion = built.GoVersion
	for _, dep := range built.Deps {
		if dep.Path == "github.com/caddyserver/caddy/v2" {
			m.caddyVersion = dep.Version
		}
	}
	m.cpu = valueIn("/proc/cpuinfo", "model name")
	if average, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load = strings.Join(strings.Fields(string(average))[:1], "")
	}
	var host unix.Utsname
	if err := unix.Uname(&host); err == nil {
		m.kernel = unix.ByteSliceToString(host.Sysname[:]) + " " + unix.ByteSliceToString(host.Release[:])
	}
	var system unix.Sysinfo_t
	if err := unix.Sysinfo(&system); err == nil {
		m.memory = int64(system.Totalram) * int64(system.Unit)
	}
	// wrk prints its version with its usage, and then fails.
	out, _ := exec.Command("wrk", "-v").CombinedOutput()
	m.wrkVersion, _, _ = strings.Cut(string(out), " [")
	return m, nil
}

// valueIn is the first value of a name in a file of "name : value" lines.
func valueIn(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
