package redis_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// One master of a cluster is down, and no other server replaces it. Reads of its keys
// fail at once, since the store knows it. Keys of the other masters can be read and
// written.
func TestAMasterOfAClusterThatIsDownAffectsOnlyItsOwnKeys(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(t *testing.T, s *redistest.Server) (end func()){
		"it takes no more clients": func(_ *testing.T, s *redistest.Server) func() { return s.RefuseClients() },
		"what is before it closes each connection": func(t *testing.T, s *redistest.Server) func() {
			s.Kill()
			undo := closesConnections(t, s.Addr())
			return func() { undo(); s.Restart() }
		},
		"it died":      func(_ *testing.T, s *redistest.Server) func() { s.Kill(); return s.Restart },
		"it is silent": func(_ *testing.T, s *redistest.Server) func() { s.Freeze(); return s.Thaw },
		"it loads": func(_ *testing.T, s *redistest.Server) func() {
			loads(s)
			return func() { s.MustCommand("CONFIG", "SET", "key-load-delay", "0") }
		},
		"it runs forever": func(_ *testing.T, s *redistest.Server) func() {
			runsForever(s)
			return func() { s.MustCommand("SCRIPT", "KILL") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "60000", "--appendonly", "yes", "--appendfsync", "always",
				"--enable-debug-command", "yes", "--busy-reply-threshold", "1", "--save", "3600 1", "--loading-process-events-interval-bytes", "1024")
			s := open(t, cluster.URL(), redis.Options{})
			keys := make([]string, 24) // enough for each master to have some
			for i := range keys {
				keys[i] = fmt.Sprint("key", i)
				mustPut(t, s, keys[i])
			}
			lost := cluster.Servers[1]
			keeps := make(map[string]bool)
			for _, key := range keys {
				keeps[key] = lost.Keeps("sso:" + key)
			}

			end := begin(t, lost)
			eventually(t, "a read of what it keeps costs no time", func() bool {
				for _, key := range keys {
					if _, _, err := s.Get(t.Context(), key); keeps[key] && !errors.Is(err, storage.ErrAway) {
						return false
					}
				}
				return true
			})
			there := keys[slices.IndexFunc(keys, func(key string) bool { return !keeps[key] })]
			for range 20 {
				mustPut(t, s, there) // success here does not end the outage of the master that is down
				for _, key := range keys {
					_, ok, err := s.Get(t.Context(), key)
					if keeps[key] && !errors.Is(err, storage.ErrAway) {
						t.Fatalf("%s, whose master is down: %v", key, err)
					}
					if !keeps[key] && (!ok || err != nil) {
						t.Fatalf("%s, whose master is up: %v, %v", key, ok, err)
					}
				}
			}
			end()
			eventually(t, "all is read again", func() bool {
				for _, key := range keys {
					if _, ok, err := s.Get(t.Context(), key); !ok || err != nil {
						return false
					}
				}
				return true
			})
		})
	}
}

// closesConnections accepts connections at an address and closes them, until undo.
func closesConnections(t *testing.T, addr string) (undo func()) {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return func() { listener.Close() }
}

func loads(s *redistest.Server) {
	s.MustCommand("DEBUG", "POPULATE", "20000")
	s.MustCommand("CONFIG", "SET", "key-load-delay", "1000")
	go func() { _, _ = s.Command("DEBUG", "RELOAD") }() // until the delay ends
}

func runsForever(s *redistest.Server) {
	go func() { _, _ = s.Command("EVAL", "while true do end", "0") }() // until it is killed
}

// By default a cluster refuses all commands if a part of it has no master.
func TestAClusterThatIsDownDelaysNoRead(t *testing.T) {
	cluster := redistest.StartCluster(t)
	s := open(t, cluster.URL(), redis.Options{})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	for _, server := range cluster.Servers {
		server.MustCommand("CLUSTER", "DELSLOTSRANGE", "0", "1")
	}
	wantImmediateErrors(t, s, func() {
		cluster.Servers[0].MustCommand("CLUSTER", "ADDSLOTSRANGE", "0", "1")
	})
}

// A server with too many clients answers each new connection with an error, and closes
// it.
func TestAServerWithTooManyClientsDelaysNoRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	refuse := server.RefuseClients()
	wantImmediateErrors(t, s, refuse)
}
