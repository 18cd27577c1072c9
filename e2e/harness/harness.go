// Package harness runs the real server for tests: it builds cmd/caddy, starts
// it with a Caddyfile on free loopback ports and folders of its own, keeps what
// it logs, and ends it with the test. Around it stand a backend that records
// what reaches it, and a client that does what a browser without JavaScript
// does.
//
// Environment:
//
//	CADDY_SSO_BINARY  a binary that is built already
//	CADDY_SSO_RACE    1: build with the race detector
package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long anything that should happen may take. It is long, since
// it only bounds how long a failing test waits.
const Patience = 30 * time.Second

// Tags are the build tags of the product.
const Tags = "nobadger,nomysql,nopgx"

type build struct {
	sync.Once
	dir  string // to be removed; "" unless we built
	path string
	err  error
}

var built build

// Main runs the tests of a package, and removes the binary they built. atEnd is
// called when all tests are over.
func Main(m *testing.M, atEnd ...func()) {
	code := m.Run()
	for _, end := range atEnd {
		end()
	}
	for _, dir := range []string{built.dir, clocked.dir} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// Binary is the path of the server, which is built once for each test binary.
func Binary(tb testing.TB) string {
	tb.Helper()
	built.Do(func() {
		if path := os.Getenv("CADDY_SSO_BINARY"); path != "" {
			built.path, built.err = filepath.Abs(path)
			return
		}
		built.make(Tags)
	})
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return built.path
}

func (b *build) make(tags string) {
	root, err := root()
	if err == nil {
		b.dir, err = os.MkdirTemp("", "caddy-sso-e2e")
	}
	if err != nil {
		b.err = fmt.Errorf("building the server: %w", err)
		return
	}
	b.path = filepath.Join(b.dir, "caddy")
	args := []string{"build", "-tags", tags, "-o", b.path}
	if os.Getenv("CADDY_SSO_RACE") == "1" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/caddy")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		b.err = fmt.Errorf("building the server: %w\n%s", err, out)
	}
}

// Root is the folder of the project.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := root()
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

var root = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output() // of this module, e2e
	if err != nil {
		return "", fmt.Errorf("finding the project: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
})

var ports struct {
	sync.Mutex
	given map[int]bool
}

// Port returns a free loopback port that no other call returned. It is below
// those that the kernel gives to outgoing connections: one of these could take
// the port of a server that restarts.
func Port(tb testing.TB) int {
	tb.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = make(map[int]bool)
	}
	for range 1000 {
		port := 10_000 + rand.IntN(22_000)
		if ports.given[port] || !free(port) {
			continue
		}
		ports.given[port] = true
		return port
	}
	tb.Fatal("found no free loopback port")
	return 0
}

// free says whether nobody listens on a port of either loopback address.
func free(port int) bool {
	for _, host := range []string{"127.0.0.1", "::1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			if host == "::1" && !strings.Contains(err.Error(), "in use") {
				continue // a machine without IPv6
			}
			return false
		}
		l.Close()
	}
	return true
}

// Eventually waits until ok holds.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}
