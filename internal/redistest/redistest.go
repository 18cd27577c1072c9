//go:build unix

// Package redistest runs real Redis servers for tests, on free loopback ports and
// without persistence, and stops them at the end of the test. If redis-server is not
// installed, the test fails. It is never skipped.
//
// The environment variable SSO_TEST_REDIS names another server binary, for example
// valkey-server.
package redistest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// patience is how long a server may take to answer, or to stop.
const patience = 20 * time.Second

// A Server is a redis-server process. It can be stopped and started again.
type Server struct {
	tb   testing.TB
	addr string
	dir  string
	args []string
	cmd  *exec.Cmd // nil while it is stopped
	log  *bytes.Buffer

	config string // the path of a configuration file, or ""
}

// Start starts a server, and stops it at the end of the test. args are added to its
// command line. With --tls-replication among them the server accepts only TLS.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return start(tb, &Server{args: args})
}

func start(tb testing.TB, s *Server) *Server {
	tb.Helper()
	// Not tb.TempDir: with a long test name the socket's path would be too long.
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		tb.Fatal(err)
	}
	s.tb, s.dir, s.addr = tb, dir, freeAddr(tb)
	tb.Cleanup(func() {
		s.Kill()
		os.RemoveAll(dir)
	})
	s.Restart()
	return s
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return s.addr }

// URL is the server's address as a redis URL.
func (s *Server) URL() string { return s.scheme() + "://" + s.addr }

func (s *Server) scheme() string {
	if s.secure() {
		return "rediss"
	}
	return "redis"
}

func (s *Server) secure() bool { return s.arg("--tls-replication") != "" }

// arg is the value of an option on the command line.
func (s *Server) arg(name string) string {
	if i := slices.Index(s.args, name); i >= 0 {
		return s.args[i+1]
	}
	return ""
}

// Socket is the path of the server's Unix socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, "redis.sock") }

// Stop shuts the server down and waits for it.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server with SIGKILL and waits for it.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Freeze makes the server stop answering until Thaw. Its connections stay open.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// Restart starts the server on the same port, without values. If it is running, Restart
// stops it first. It returns once the server answers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	name := cmp.Or(os.Getenv("SSO_TEST_REDIS"), "redis-server")
	bin, err := exec.LookPath(name)
	if err != nil {
		s.tb.Fatalf("this test needs %s: install the Debian package of that name: %v", name, err)
	}
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.log = new(bytes.Buffer)
	args := []string{"--bind", host, "--port", port, "--dir", s.dir}
	if s.secure() {
		args = append(args, "--port", "0", "--tls-port", port)
	}
	if s.config != "" {
		args = append([]string{s.config}, args...)
	} else {
		args = append(args, "--save", "", "--appendonly", "no", "--unixsocket", s.Socket(), "--repl-diskless-sync-delay", "0")
	}
	cmd := exec.Command(bin, append(args, s.args...)...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		s.tb.Fatalf("starting redis-server: %v", err)
	}
	s.cmd = cmd
	for deadline := time.Now().Add(patience); !s.answers(); {
		if time.Now().After(deadline) {
			s.Kill()
			s.tb.Fatalf("redis-server does not answer:\n%s", s.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Command runs one command on the server, on a new connection.
func (s *Server) Command(args ...string) (rueidis.RedisMessage, error) {
	option := rueidis.ClientOption{
		InitAddress: []string{s.addr}, ForceSingleClient: true, DisableCache: true, Password: s.arg("--requirepass"),
	}
	if s.secure() {
		own, err := tls.LoadX509KeyPair(s.arg("--tls-cert-file"), s.arg("--tls-key-file"))
		if err != nil {
			return rueidis.RedisMessage{}, err
		}
		option.TLSConfig = &tls.Config{Certificates: []tls.Certificate{own}, InsecureSkipVerify: true} //nolint:gosec // the test made the certificate
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return rueidis.RedisMessage{}, fmt.Errorf("connecting to %s: %w", s.addr, err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := client.Do(ctx, client.B().Arbitrary(args...).Build()).ToMessage()
	if err != nil {
		return reply, fmt.Errorf("%s on %s: %w", args[0], s.addr, err)
	}
	return reply, nil
}

// MustCommand is like Command, but an error fails the test.
func (s *Server) MustCommand(args ...string) rueidis.RedisMessage {
	s.tb.Helper()
	reply, err := s.Command(args...)
	if err != nil {
		s.tb.Fatal(err)
	}
	return reply
}

// Follow makes the server a replica of master, without closing connections, and waits
// until it has all values of master.
func (s *Server) Follow(master *Server) {
	s.tb.Helper()
	host, port, err := net.SplitHostPort(master.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.MustCommand("REPLICAOF", host, port)
	s.awaitMaster()
}

// awaitMaster waits until a replica has all values of its master.
func (s *Server) awaitMaster() {
	s.tb.Helper()
	for deadline := time.Now().Add(patience); !s.inStep(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.tb.Fatalf("the replica does not get the values of its master:\n%s", s.log)
		}
	}
}

// Promote makes a replica a master.
func (s *Server) Promote() {
	s.tb.Helper()
	s.MustCommand("REPLICAOF", "NO", "ONE")
}

// inStep reports whether a replica receives its master's changes.
func (s *Server) inStep() bool {
	reply, err := s.Command("INFO", "replication")
	if err != nil {
		return false
	}
	text, err := reply.ToString()
	return err == nil && strings.Contains(text, "master_link_status:up")
}

// KillConnections closes every client's connection on the server's side.
func (s *Server) KillConnections() {
	s.tb.Helper()
	s.MustCommand("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
}

func (s *Server) answers() bool {
	if s.secure() {
		_, err := s.Command("PING")
		return err == nil
	}
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, err := conn.Read(make([]byte, 16)) // even "-NOAUTH" is an answer
	return err == nil && n > 0
}

func (s *Server) signal(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Errorf("signalling redis-server: %v", err)
	}
}

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	s.signal(sig)
	s.signal(syscall.SIGCONT) // a frozen process does not see SIGTERM
	process := s.cmd.Process
	overdue := time.AfterFunc(patience, func() { _ = process.Kill() })
	defer overdue.Stop()
	_ = s.cmd.Wait() // Kill causes an error here
	s.cmd = nil
}

// givenAddrs has the addresses of all servers of this process.
var givenAddrs sync.Map

// freeAddr returns a free port below the range that the kernel uses for outgoing
// connections. An outgoing connection could take the port of a server that is stopped.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000)))
		if err != nil {
			continue
		}
		addr := l.Addr().String()
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
		if _, given := givenAddrs.LoadOrStore(addr, true); given {
			continue // its server may be stopped just now
		}
		return addr
	}
	tb.Fatal("found no free port on 127.0.0.1")
	return ""
}

// Databases returns the names of the databases that have values.
func (s *Server) Databases(tb testing.TB) string {
	tb.Helper()
	reply := s.MustCommand("INFO", "keyspace")
	text, err := reply.ToString()
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, ":keys="); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
