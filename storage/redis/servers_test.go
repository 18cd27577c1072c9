package redis_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func TestSettingsThatLoseValuesAreWarnedOfAtTheStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want []string // expected parts of the warnings
	}{
		"by eviction":              {[]string{"--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"}, []string{"noeviction"}},
		"for want of persistence":  {nil, []string{"persistence"}},
		"by both":                  {[]string{"--maxmemory-policy", "volatile-ttl"}, []string{"noeviction", "persistence"}},
		"not with snapshots":       {[]string{"--save", "900 1"}, nil},
		"not if they may not tell": {[]string{"--maxmemory-policy", "allkeys-lru", "--rename-command", "CONFIG", "", "--rename-command", "INFO", ""}, nil},
		"as far as they may tell":  {[]string{"--maxmemory-policy", "allkeys-lru", "--rename-command", "CONFIG", ""}, []string{"noeviction"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, c.args...)
			core, logged := observer.New(zap.WarnLevel)
			s := open(t, server.URL(), redis.Options{Timeout: 10 * time.Second, Logger: zap.New(core)})
			mustPut(t, s, "a")
			eventually(t, "all is warned of", func() bool { return logged.Len() >= len(c.want) })
			s.Status(t.Context()) // asks the same questions, so the warnings had time to appear
			s.Close()
			ofServers := logged.Filter(func(l observer.LoggedEntry) bool { return l.ContextMap()["servers"] != nil })
			for i, line := range ofServers.All() {
				if i >= len(c.want) || !strings.Contains(line.Message, c.want[i]) || !strings.Contains(line.ContextMap()["servers"].([]any)[0].(string), server.Addr()) {
					t.Errorf("logged: %s %v", line.Message, line.ContextMap())
				}
			}
		})
	}
}

func TestTheStatusDescribesTheServers(t *testing.T) {
	t.Parallel()
	first, second := pair(t)
	first.MustCommand("CONFIG", "SET", "maxmemory", "100mb")
	s := open(t, first.URL()+","+second.Addr(), redis.Options{Timeout: time.Second, Prefix: "p:"})
	eventually(t, "it works", func() bool { return works(t, s) })
	mustPut(t, s, "a")
	status := s.Status(t.Context()).Redis
	if status.Topology != "replicas" || status.Prefix != "p:" || len(status.Servers) != 1 {
		t.Fatalf("%+v", status)
	}
	got := status.Servers[0]
	if got.Role != "master" || !strings.Contains(got.Version, ".") || got.Latency <= 0 || got.Replicas != 1 || got.Keys != 1 ||
		got.UsedMemory == 0 || got.MaxMemory != 100<<20 || got.Policy != "noeviction" || got.Persistence != "none" || got.Problem != "" {
		t.Errorf("%+v", got)
	}
	first.Stop()
	second.Stop()
	eventually(t, "the status has the problem", func() bool {
		status := s.Status(t.Context()).Redis
		return len(status.Servers) == 1 && strings.Contains(status.Servers[0].Problem, "refused")
	})
	never := open(t, second.URL(), redis.Options{})
	eventually(t, "it says so before it was ever there", func() bool {
		return strings.Contains(never.Status(t.Context()).Redis.Problem, "not connected yet")
	})
}

func TestTheStatusOfAClusterNamesEveryNode(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	cluster.AddReplica(t, cluster.Servers[0])
	s := open(t, cluster.URL(), redis.Options{Timeout: 10 * time.Second})
	mustPut(t, s, "a")
	roles := map[string]int{}
	for _, server := range s.Status(t.Context()).Redis.Servers {
		roles[server.Role]++
	}
	if roles["master"] != 3 || roles["replica"] != 1 {
		t.Error(roles)
	}
}
