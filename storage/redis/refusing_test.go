package redis_test

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// wantImmediateErrors checks that reads fail without waiting for the server, and that
// they succeed again after end.
func wantImmediateErrors(t *testing.T, s *redis.Store, end func()) {
	t.Helper()
	c := watch(t, s)
	eventually(t, "reads are refused at once", func() bool {
		_, _, err := s.Get(t.Context(), "a")
		return err != nil && strings.Contains(err.Error(), "no node answers as master")
	})
	end()
	eventually(t, "reads work again", func() bool {
		_, ok, err := s.Get(t.Context(), "a")
		return ok && err == nil
	})
	eventually(t, "the return is reported", func() bool { return c.lost.Load() > 0 })
}

func TestABusyServerDelaysNoRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--busy-reply-threshold", "1")
	s := open(t, server.URL(), redis.Options{})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = server.Command("EVAL", "while true do end", "0") // until it is killed
	}()
	wantImmediateErrors(t, s, func() {
		server.MustCommand("SCRIPT", "KILL")
		<-done
	})
}

func TestAServerThatLoadsItsDataDelaysNoRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--enable-debug-command", "yes", "--save", "3600 1", "--loading-process-events-interval-bytes", "1024")
	s := open(t, server.URL(), redis.Options{})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	server.MustCommand("DEBUG", "POPULATE", "20000")
	server.MustCommand("CONFIG", "SET", "key-load-delay", "1000")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = server.Command("DEBUG", "RELOAD")
	}()
	wantImmediateErrors(t, s, func() {
		server.MustCommand("CONFIG", "SET", "key-load-delay", "0")
		<-done
	})
}

// A proxy in front of the server accepts every connection, and closes it.
func TestConnectionsThatCloseDelayNoRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var closing atomic.Bool
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if closing.Load() {
				conn.Close()
				continue
			}
			go pipe(conn, server.Addr())
		}
	}()
	s := open(t, "redis://"+listener.Addr().String(), redis.Options{})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	closing.Store(true)
	server.KillConnections()
	wantImmediateErrors(t, s, func() { closing.Store(false) })
}

func pipe(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	}()
	_, _ = io.Copy(server, client)
}
