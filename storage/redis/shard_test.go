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

// One master of a cluster is away, and nothing takes its place. Reads of what it
// keeps are refused at once, as the store knows; what the others keep is read and
// written as ever.
func TestAMasterOfAClusterThatIsAwayFailsNothingButItsOwn(t *testing.T) {
	var undo func()
	for name, fault := range map[string]struct{ begin, end func(*redistest.Server) }{
		"it takes no more clients": {
			func(s *redistest.Server) { undo = s.RefuseClients() },
			func(*redistest.Server) { undo() },
		},
		"what is before it closes each connection": {
			func(s *redistest.Server) { s.Kill(); undo = closesConnections(t, s.Addr()) },
			func(s *redistest.Server) { undo(); s.Restart() },
		},
		"it died":         {(*redistest.Server).Kill, (*redistest.Server).Restart},
		"it is silent":    {(*redistest.Server).Freeze, (*redistest.Server).Thaw},
		"it loads":        {loads, func(s *redistest.Server) { s.MustCommand("CONFIG", "SET", "key-load-delay", "0") }},
		"it runs forever": {runsForever, func(s *redistest.Server) { s.MustCommand("SCRIPT", "KILL") }},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := redistest.StartCluster(t, "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "60000", "--appendonly", "yes", "--appendfsync", "always",
				"--enable-debug-command", "yes", "--busy-reply-threshold", "1", "--save", "3600 1", "--loading-process-events-interval-bytes", "1024")
			s := open(t, cluster.URL(), redis.Options{})
			keys := make([]string, 24) // enough for every master
			for i := range keys {
				keys[i] = fmt.Sprint("key", i)
				mustPut(t, s, keys[i])
			}
			lost := cluster.Servers[1]
			keeps := make(map[string]bool)
			for _, key := range keys {
				keeps[key] = lost.Keeps("sso:" + key)
			}

			fault.begin(lost)
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
				mustPut(t, s, there) // which tells nothing of the one that is away
				for _, key := range keys {
					_, ok, err := s.Get(t.Context(), key)
					if keeps[key] && !errors.Is(err, storage.ErrAway) {
						t.Fatalf("%s, which is away: %v", key, err)
					}
					if !keeps[key] && (!ok || err != nil) {
						t.Fatalf("%s, which is there: %v, %v", key, ok, err)
					}
				}
			}
			fault.end(lost)
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

// closesConnections takes connections at an address, until it is undone.
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

// A cluster of which a part has no master refuses everything by default.
func TestAClusterThatIsDownHoldsNoReadUp(t *testing.T) {
	cluster := redistest.StartCluster(t)
	s := open(t, cluster.URL(), redis.Options{})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	for _, server := range cluster.Servers {
		server.MustCommand("CLUSTER", "DELSLOTSRANGE", "0", "1")
	}
	atOnce(t, s, func() {
		cluster.Servers[0].MustCommand("CLUSTER", "ADDSLOTSRANGE", "0", "1")
	})
}

// A server that takes no more clients answers each connection, and closes it.
func TestAServerWithoutRoomForAConnectionHoldsNoReadUp(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{})
	eventually(t, "connected", func() bool { return s.Put(t.Context(), "a", []byte("1"), time.Hour) == nil })
	refuse := server.RefuseClients()
	atOnce(t, s, refuse)
}
