package endings_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/endings"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// Sessions end while Sentinel makes a replica the master. Each ending that was
// acknowledged must last.
func TestClass39AFailoverBySentinelUndoesNoEnding(t *testing.T) {
	for name, fail := range map[string]func(*redistest.Sentinels, *redistest.Server){
		"in order":                        func(s *redistest.Sentinels, _ *redistest.Server) { s.Failover(t) },
		"after the master's sudden death": func(_ *redistest.Sentinels, master *redistest.Server) { master.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := redistest.Start(t), redistest.Start(t)
			second.Follow(first)
			sentinels := redistest.StartSentinels(t, first, 1)
			below, err := redis.Open(sentinels.URL(), redis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			node := endings.New(below, options)
			t.Cleanup(func() { node.Close() })
			var keys []string
			for i := range 200 {
				keys = append(keys, fmt.Sprintf("session:%d", i))
			}
			put(t, node, append(keys, "session:on")...)
			eventually(t, "the replica has them", func() bool { return exists(t, second, append(keys, "session:on")...) == 201 })
			var failing sync.WaitGroup
			for i, key := range keys {
				if i == 50 {
					failing.Go(func() { fail(sentinels, first) })
				}
				eventually(t, key+" is ended", func() bool {
					_, _, err := node.Take(t.Context(), key)
					return err == nil
				})
				time.Sleep(10 * time.Millisecond) // so that some end before, some during and some after the failover
			}
			failing.Wait()
			eventually(t, "the failover is over", func() bool {
				return node.Put(t.Context(), "works", []byte("1"), time.Hour) == nil && holds(second, "works")
			})
			eventually(t, "the new master knows all endings", func() bool { return exists(t, second, keys...) == 0 })
			for _, key := range keys {
				if has(t, node, key) {
					t.Errorf("%s is back", key)
				}
			}
			if !has(t, node, "session:on") {
				t.Error("another user is signed out")
			}
		})
	}
}

// holds reports whether a server is a master and has a key. During a failover the
// connection for this question ends, too.
func holds(server *redistest.Server, key string) bool {
	role, err := server.Command("INFO", "replication")
	if err != nil {
		return false
	}
	text, err := role.ToString()
	if err != nil || !strings.Contains(text, "role:master") {
		return false
	}
	reply, err := server.Command("EXISTS", "sso:"+key)
	if err != nil {
		return false
	}
	n, err := reply.AsInt64()
	return err == nil && n == 1
}
