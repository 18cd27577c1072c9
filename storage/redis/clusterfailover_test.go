package redis_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func TestAReplicaOfAClusterTakesOver(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]bool{"from a master that dies": true, "from a master that becomes its replica": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t)
			master := cluster.Servers[1]
			replica := cluster.AddReplica(t, master)
			s := open(t, cluster.URL(), redis.Options{})
			other := open(t, cluster.URL(), redis.Options{})
			keys := make([]string, 24) // enough for each master to have some
			for i := range keys {
				keys[i] = fmt.Sprint("key", i)
				mustPut(t, s, keys[i])
			}
			eventually(t, "the replica has what its master has", func() bool { return size(t, replica) == size(t, master) })
			c := watch(t, s)
			if dies {
				master.Kill()
				err := s.Scan(t.Context(), "key", func(string, []byte) error { return nil })
				if !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("a scan without a third of the slots: %v", err)
				}
			}
			replica.MustCommand("CLUSTER", "FAILOVER", "TAKEOVER") // without an election, which takes time
			for _, key := range keys {
				eventually(t, key+" is there", func() bool {
					_, ok, err := s.Get(t.Context(), key)
					return ok && err == nil
				})
				// Changes before the new master is tracked are covered by Lost.
				eventually(t, "a change of new-"+key+" is reported", func() bool {
					return other.Put(t.Context(), "new-"+key, []byte("1"), time.Hour) == nil && c.saw("new-"+key)
				})
			}
			eventually(t, "someone is told to read again", func() bool { return c.lost.Load() > 0 })
			eventually(t, "a scan finds every value", func() bool {
				n := 0
				err := s.Scan(t.Context(), "key", func(string, []byte) error { n++; return nil })
				return err == nil && n == len(keys)
			})
		})
	}
}

// A replica has only values that its master has.
func TestAScanSucceedsWithADeadReplica(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	replica := cluster.AddReplica(t, cluster.Servers[0])
	s := open(t, cluster.URL(), redis.Options{})
	const many = 24
	for i := range many {
		mustPut(t, s, fmt.Sprint("key", i))
	}
	replica.Kill()
	n := 0
	if err := s.Scan(t.Context(), "key", func(string, []byte) error { n++; return nil }); err != nil || n != many {
		t.Errorf("%d of %d values scanned, %v", n, many, err)
	}
}

func size(t *testing.T, server *redistest.Server) int64 {
	t.Helper()
	reply := server.MustCommand("DBSIZE")
	n, err := reply.AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}
