package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Server is one Caddy process, or the place of one that was ended.
type Server struct {
	// Log is what the processes wrote, over all restarts.
	Log *Log

	// Dir has the Caddyfile and Caddy's data and configuration folders.
	Dir string

	tb     testing.TB
	binary string
	env    []string
	admin  string // host:port of the admin API
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
}

var adminLine = regexp.MustCompile(`(?m)^\s*admin\s+(\S+)`)

// Start starts a server with a Caddyfile that names an admin address, and waits
// until it serves. It ends with the test.
func Start(tb testing.TB, caddyfile string, options ...func(*Server)) *Server {
	tb.Helper()
	s, err := Launch(tb, caddyfile, tb.TempDir(), options...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Launch is Start in a folder that may be another server's, and returns what
// the process said where it did not come up.
func Launch(tb testing.TB, caddyfile, dir string, options ...func(*Server)) (*Server, error) {
	tb.Helper()
	found := adminLine.FindStringSubmatch(caddyfile)
	if found == nil {
		tb.Fatal("the Caddyfile names no admin address")
	}
	s := &Server{tb: tb, Dir: dir, Log: newLog(tb), admin: found[1]}
	for _, option := range options {
		option(s)
	}
	if s.binary == "" {
		s.binary = Binary(tb)
	}
	s.write(caddyfile)
	tb.Cleanup(func() {
		s.Stop()
		for _, bad := range []string{"panic", "DATA RACE"} {
			if found := s.Log.from(bad, 60); found != "" {
				tb.Errorf("the server's log has a %s:\n%s", bad, found)
			}
		}
		if tb.Failed() {
			tb.Logf("the server's log, its end:\n%s", s.Log.tail(60))
		}
	})
	return s, s.Up()
}

// Up starts the process and waits until it serves. The error has what the
// process said if it ended before.
func (s *Server) Up() error {
	s.tb.Helper()
	before := len(s.Log.Lines())
	cmd := s.command("run", "--config", s.caddyfile(), "--adapter", "caddyfile")
	cmd.Stdout, cmd.Stderr = s.Log.file, s.Log.file
	if err := cmd.Start(); err != nil {
		s.tb.Fatalf("starting the server: %v", err)
	}
	ended := make(chan struct{})
	s.cmd, s.ended = cmd, ended
	go func() {
		_ = cmd.Wait() // how it ended is seen where it matters
		close(ended)
	}()
	overdue := time.After(Patience)
	for {
		if s.Log.has(before, "serving initial configuration") {
			return nil
		}
		select {
		case <-ended:
			s.cmd = nil
			return fmt.Errorf("the server ended: %s", s.Log.tail(3))
		case <-overdue:
			return fmt.Errorf("the server does not come up: %s", s.Log.tail(20))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Admin asks the admin API of the running server.
func (s *Server) Admin(path string) *Response {
	s.tb.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+s.admin+path, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	resp, err := NewClient(s.tb).Do(r)
	if err != nil {
		s.tb.Fatal(err)
	}
	if resp.Status != http.StatusOK {
		s.tb.Fatalf("%s answered %d: %s", path, resp.Status, resp.Body)
	}
	return resp
}

// PID is that of the running process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends the server in order.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server with SIGKILL.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Restart stops the server and starts it again, with the Caddyfile it had.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	if err := s.Up(); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig) // it may have ended by itself
	select {
	case <-s.ended:
	case <-time.After(Patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.tb.Errorf("the server did not end on %v", sig)
	}
	s.cmd = nil
}

// Reload gives the running server another Caddyfile.
func (s *Server) Reload(caddyfile string) {
	s.tb.Helper()
	if err := s.TryReload(caddyfile); err != nil {
		s.tb.Fatal(err)
	}
	s.write(caddyfile)
}

// TryReload is Reload, and returns why the server refused.
func (s *Server) TryReload(caddyfile string) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.admin+"/load", strings.NewReader(caddyfile))
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	r.Header.Set("Content-Type", "text/caddyfile")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reloading: %s: %s", resp.Status, body)
	}
	return nil
}

// AdminAddr is the host:port of the admin API.
func (s *Server) AdminAddr() string { return s.admin }

// SSO runs "caddy sso …" against this server and returns what it printed.
func (s *Server) SSO(args ...string) string {
	s.tb.Helper()
	end := slices.Index(args, "--") // behind it, nothing is a flag
	if end < 0 {
		end = len(args)
	}
	args = slices.Insert(slices.Clone(args), end, "--address", s.admin)
	out, err := s.Command(append([]string{"sso"}, args...)...)
	if err != nil {
		s.tb.Fatal(err)
	}
	return out
}

// Validate runs "caddy validate" in the server's environment.
func (s *Server) Validate(caddyfile string) error {
	path := filepath.Join(s.Dir, "validate.Caddyfile")
	if err := os.WriteFile(path, []byte(caddyfile), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	_, err := s.Command("validate", "--config", path, "--adapter", "caddyfile")
	return err
}

// Command runs the binary in the server's environment and returns its standard
// output. The error has its standard error.
func (s *Server) Command(args ...string) (string, error) {
	s.tb.Helper()
	cmd := s.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	overdue := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() })
	defer overdue.Stop()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return stdout.String(), fmt.Errorf("caddy %s: %w: %s", args[0], err, stderr.String())
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	return stdout.String(), nil
}

// command runs in the project's folder, since Caddyfile.example names files
// below it.
func (s *Server) command(args ...string) *exec.Cmd {
	s.tb.Helper()
	cmd := exec.Command(s.binary, args...)
	cmd.Dir = Root(s.tb)
	cmd.Env = append(append(os.Environ(), s.env...),
		"HOME="+s.Dir,
		"XDG_DATA_HOME="+filepath.Join(s.Dir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(s.Dir, "config"))
	return cmd
}

func (s *Server) caddyfile() string { return filepath.Join(s.Dir, "Caddyfile") }

func (s *Server) write(caddyfile string) {
	s.tb.Helper()
	if err := os.WriteFile(s.caddyfile(), []byte(caddyfile), 0o600); err != nil {
		s.tb.Fatal(err)
	}
}
