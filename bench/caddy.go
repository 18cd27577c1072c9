package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed gate.Caddyfile portal.Caddyfile license.Caddyfile nodes.Caddyfile
var caddyfiles embed.FS

// tags leave out what nobody here needs, as for every build of the project.
const tags = "nobadger,nomysql,nopgx"

// build makes the Caddy that is measured, unless one was named.
func (r *run) build(ctx context.Context) (err error) {
	if r.caddy != "" {
		if r.caddy, err = filepath.Abs(r.caddy); err != nil {
			return fmt.Errorf("finding Caddy: %w", err)
		}
		return nil
	}
	progress("building Caddy")
	r.caddy = filepath.Join(r.dir, "caddy")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", tags, "-o", r.caddy, "./cmd/caddy")
	cmd.Dir, cmd.Stderr = "..", os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building Caddy: %w", err)
	}
	return nil
}

// A caddy is one that runs on its core.
type caddy struct {
	cmd  *exec.Cmd
	log  string
	stop context.CancelFunc
}

func (c *caddy) pid() int { return c.cmd.Process.Pid }

func (c *caddy) close() {
	c.stop()
	_ = c.cmd.Wait()
}

// startCaddy runs a configuration from its template, and waits for its ports.
// The audit log goes to a file, as is usual; there is no access log.
func (r *run) startCaddy(ctx context.Context, name string, values any, ports map[string]string) (*caddy, error) {
	dir, err := os.MkdirTemp(r.dir, "caddy-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for Caddy: %w", err)
	}
	config := filepath.Join(dir, "Caddyfile")
	var text strings.Builder
	if err := template.Must(template.ParseFS(caddyfiles, name)).Execute(&text, values); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("opening Caddy's log: %w", err)
	}
	defer log.Close()
	ctx, stop := context.WithCancel(ctx)
	c := &caddy{log: log.Name(), stop: stop}
	c.cmd = pinned(ctx, caddyCore, r.caddy, "run", "--config", config, "--adapter", "caddyfile")
	c.cmd.Env = append(c.cmd.Env, "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	c.cmd.Stderr = log
	if err := c.cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("starting Caddy: %w", err)
	}
	for row, port := range ports {
		if row == "upstream" {
			continue
		}
		if err := listening(ctx, port); err != nil {
			c.close()
			return nil, fmt.Errorf("starting Caddy with %s: %w; its log ends: %s", name, err, tail(c.log))
		}
	}
	return c, nil
}

// tail is the end of a file, for an error.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// password is that of all users.
const password = "bench"

// hash makes a password hash of the least cost there is, so that a thousand
// sign-ins take no minute.
func (r *run) hash(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, r.caddy, "hash-password", "--plaintext", password,
		"--algorithm", "argon2id", "--argon2id-memory", "8", "--argon2id-time", "1", "--argon2id-threads", "1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// startUpstream runs the server behind the routes beside the load.
func startUpstream(ctx context.Context, port string) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd, err := helper(ctx, loadCore, "upstream")
	if err != nil {
		cancel()
		return nil, err
	}
	cmd.Env = append(cmd.Env, "BENCH_UPSTREAM=127.0.0.1:"+port)
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("starting the upstream: %w", err)
	}
	stop = func() {
		cancel()
		_ = cmd.Wait()
	}
	if err := listening(ctx, port); err != nil {
		stop()
		return nil, fmt.Errorf("starting the upstream: %w", err)
	}
	return stop, nil
}

// named gives each name a free port.
func named(names ...string) (map[string]string, error) {
	ports, err := freePorts(len(names))
	if err != nil {
		return nil, err
	}
	byName := make(map[string]string, len(names))
	for i, name := range names {
		byName[name] = ports[i]
	}
	return byName, nil
}

// userNames are the local users, all with the same password.
func userNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user%04d", i)
	}
	return names
}
