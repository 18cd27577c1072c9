package redis_test

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func TestAFailoverBySentinelNeedsNoAction(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*testing.T, *redistest.Sentinels, *redistest.Server){
		"in order": func(t *testing.T, s *redistest.Sentinels, _ *redistest.Server) { s.Failover(t) },
		"after the master's sudden death": func(_ *testing.T, _ *redistest.Sentinels, master *redistest.Server) {
			master.Kill()
		},
		"while the master only falls silent": func(_ *testing.T, _ *redistest.Sentinels, master *redistest.Server) {
			master.Freeze()
		},
		"after the death of a Sentinel": func(t *testing.T, s *redistest.Sentinels, _ *redistest.Server) {
			s.Servers[2].Kill()
			s.Failover(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := pair(t)
			sentinels := redistest.StartSentinels(t, first, 1)
			s := open(t, sentinels.URL(), redis.Options{})
			eventually(t, "it works", func() bool { return works(t, s) })
			mustPut(t, s, "a")
			eventually(t, "the replica has it", func() bool { return size(t, second) == 1 })
			c := watch(t, s)
			fail(t, sentinels, first)
			eventually(t, "the new master has what is written", func() bool {
				return isMaster(second) && works(t, s) && s.Put(t.Context(), "b", []byte("1"), time.Hour) == nil && size(t, second) == 2
			})
			eventually(t, "someone is told to read again", func() bool { return c.lost.Load() > 0 })
			// A Sentinel closes connections when it changes a role, also these.
			eventually(t, "a value that was stored before is read", func() bool {
				_, ok, err := s.Get(t.Context(), "a")
				if err == nil && !ok {
					t.Fatal("a value that was stored before is lost")
				}
				return ok
			})
			eventually(t, "a change at the new master is reported", func() bool {
				_, err := second.Command("SET", "sso:later", "1")
				return err == nil && c.saw("later")
			})
		})
	}
}

// isMaster asks a server for its role. When a Sentinel changes the role, it closes all
// connections, also the one for this question.
func isMaster(server *redistest.Server) bool {
	reply, err := server.Command("ROLE")
	if err != nil {
		return false
	}
	said, err := reply.ToArray()
	if err != nil {
		return false
	}
	role, err := said[0].ToString()
	return err == nil && role == "master"
}

func TestSentinelsAndServersHaveSeparateCredentials(t *testing.T) {
	t.Parallel()
	const password, sentinelPassword = "p@ss/w:rd?,", "s&cret=1"
	server := redistest.Start(t, "--requirepass", password)
	sentinels := redistest.StartSentinels(t, server, 0, "--requirepass", sentinelPassword)
	address := "valkey+sentinel://default:p%40ss%2Fw%3Ard%3F%2C@" + sentinels.Addrs() + "/" + redistest.MasterName + "/3"
	s := open(t, address+"?sentinel_password=s%26cret%3D1", redis.Options{Timeout: 10 * time.Second})
	mustPut(t, s, "a")
	if got := server.Databases(t); got != "db3" {
		t.Errorf("it is in %q", got)
	}
	without := open(t, address, redis.Options{Timeout: 300 * time.Millisecond})
	wantUnavailable(t, without)
}

func TestAnAddressOfASentinelInPlaceOfAServerIsExplained(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	sentinels := redistest.StartSentinels(t, server, 0)
	core, logged := observer.New(zap.InfoLevel)
	open(t, "redis://"+sentinels.Servers[0].Addr(), redis.Options{Logger: zap.New(core)})
	eventually(t, "the log names the right address", func() bool {
		return logged.FilterMessageSnippet("redis+sentinel://").Len() > 0
	})
}

// Several hosts without a cluster are a master and its replicas.
func TestOfSeveralHostsTheMasterIsFound(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]func(first, second *redistest.Server) string{
		"the master is first": func(first, second *redistest.Server) string { return first.URL() + "," + second.Addr() },
		"the replica is":      func(first, second *redistest.Server) string { return second.URL() + "," + first.Addr() },
		"so is one that does not answer": func(first, second *redistest.Server) string {
			gone := redistest.Start(t)
			gone.Stop()
			return gone.URL() + "," + second.Addr() + "," + first.Addr()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := pair(t)
			s := open(t, list(first, second), redis.Options{})
			eventually(t, "it works", func() bool { return works(t, s) })
			mustPut(t, s, "a")
			eventually(t, "the replica has it", func() bool { return size(t, second) == 1 })
			c := watch(t, s)
			first.Kill()
			second.Promote()
			eventually(t, "it works on the new master", func() bool { return works(t, s) })
			if _, ok, err := s.Get(t.Context(), "a"); !ok || err != nil {
				t.Errorf("what was stored before: %v, %v", ok, err)
			}
			eventually(t, "a change at the new master is reported", func() bool {
				second.MustCommand("SET", "sso:later", "1")
				return c.saw("later")
			})
			first.Restart()
			first.Follow(second)
			second.Kill()
			first.Promote()
			eventually(t, "it works on the first one again", func() bool { return works(t, s) })
		})
	}
}
