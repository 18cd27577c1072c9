package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func asked(t *testing.T, s *redis.Store, key string) string {
	t.Helper()
	identity, err := s.AskIdentity(t.Context(), key)
	if err != nil || identity == "" {
		t.Fatalf("the identity of %s is %q, %v", key, identity, err)
	}
	return identity
}

// becomesAnother waits until both methods return another identity for a key.
func becomesAnother(t *testing.T, s *redis.Store, key, before string) {
	t.Helper()
	eventually(t, "another identity of "+key, func() bool {
		now, err := s.AskIdentity(t.Context(), key)
		return err == nil && now != "" && now != before && s.Identity(key) == now
	})
}

func TestAServerThatMayHaveLostWritesHasAnotherIdentity(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, proxy *redistest.Proxy, first, second *redistest.Server){
		"a replica became the master": func(_ *testing.T, proxy *redistest.Proxy, first, second *redistest.Server) {
			second.Promote()
			proxy.LeadTo(second)
			first.Kill()
		},
		"it was started again": func(_ *testing.T, _ *redistest.Proxy, first, _ *redistest.Server) { first.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := pair(t)
			proxy := redistest.StartProxy(t, first)
			s := open(t, proxy.URL(), redis.Options{})
			eventually(t, "it works", func() bool { return works(t, s) })
			before := asked(t, s, "key")
			lose(t, proxy, first, second)
			becomesAnother(t, s, "key", before)
		})
	}
}

// A server that was replaced becomes the master again, with its old values.
func TestAServerThatIsMasterAgainHasItsOldIdentity(t *testing.T) {
	t.Parallel()
	first, second := pair(t)
	proxy := redistest.StartProxy(t, first)
	s := open(t, proxy.URL(), redis.Options{})
	eventually(t, "it works", func() bool { return works(t, s) })
	before := asked(t, s, "key")
	second.Promote()
	proxy.LeadTo(second)
	first.KillConnections()
	becomesAnother(t, s, "key", before)
	proxy.LeadTo(first)
	second.Kill()
	eventually(t, "its old identity", func() bool {
		now, err := s.AskIdentity(t.Context(), "key")
		return err == nil && now == before && s.Identity("key") == before
	})
}

// The identity of a replica is its master's, who is another user.
func TestAReplicaTellsNoIdentity(t *testing.T) {
	t.Parallel()
	first, second := pair(t)
	s := open(t, second.URL(), redis.Options{})
	eventually(t, "it is connected", func() bool { _, err := first.Command("PING"); return err == nil })
	if identity, err := s.AskIdentity(t.Context(), "key"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("%q, %v", identity, err)
	}
}

func TestAUserWithoutTheRightToReadTheIdentityWorksWithoutOne(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.MustCommand("ACL", "SETUSER", "sso", "on", ">secret", "~sso:*", "&*", "+@all", "-info")
	core, logged := observer.New(zap.InfoLevel)
	s := open(t, "redis://sso:secret@"+server.Addr(), redis.Options{Logger: zap.New(core)})
	eventually(t, "it works", func() bool { return works(t, s) })
	if n := logged.FilterMessageSnippet("allow the user the command INFO").Len(); n != 1 {
		t.Errorf("%d log lines give the reason", n)
	}
	if identity, err := s.AskIdentity(t.Context(), "key"); identity != "" || err != nil {
		t.Errorf("%q, %v", identity, err)
	}
	if identity := s.Identity("key"); identity != "" {
		t.Errorf("%q", identity)
	}
	server.MustCommand("ACL", "SETUSER", "sso", "+info")
	server.KillConnections()
	becomesAnother(t, s, "key", "")
}

func TestEachShardOfAClusterHasAnIdentity(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	master := cluster.Servers[1]
	replica := cluster.AddReplica(t, master)
	s := open(t, cluster.URL(), redis.Options{Timeout: 10 * time.Second})
	before := make(map[string]string) // by key
	seen := make(map[string]bool)
	for i := range 24 { // enough for each master to have some
		key := fmt.Sprint("key", i)
		mustPut(t, s, key)
		before[key] = asked(t, s, key)
		seen[before[key]] = true
		eventually(t, key+" has its identity at once", func() bool { return s.Identity(key) == before[key] })
	}
	if len(seen) != 3 {
		t.Fatalf("%d identities of three shards", len(seen))
	}
	moved := replicationID(t, master)
	replica.MustCommand("CLUSTER", "FAILOVER", "TAKEOVER")
	for key, identity := range before {
		if identity == moved {
			becomesAnother(t, s, key, identity)
			continue
		}
		if now := asked(t, s, key); now != identity || s.Identity(key) != identity {
			t.Errorf("%s has another identity without a reason", key)
		}
	}
}

// replicationID is the ID that a server reports.
func replicationID(t *testing.T, server *redistest.Server) string {
	t.Helper()
	reply := server.MustCommand("INFO", "replication")
	text, err := reply.ToString()
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(text, "master_replid:")
	return id[:40]
}
