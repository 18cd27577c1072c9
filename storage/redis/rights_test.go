package redis_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

var aclLine = regexp.MustCompile("`(ACL SETUSER sso [^`]*)`")

// A user with the rights that docs/operating.md names can do all that the store
// does.
func TestTheRightsThatTheDocumentationNamesAreEnough(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	found := aclLine.FindSubmatch(page)
	if found == nil {
		t.Fatal("docs/operating.md has no ACL SETUSER")
	}
	acl := strings.Fields(string(found[1]))
	t.Run("on one server", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		wantRights(t, acl, server.URL(), server)
	})
	t.Run("in a cluster", func(t *testing.T) {
		t.Parallel()
		cluster := redistest.StartCluster(t)
		wantRights(t, acl, cluster.URL(), cluster.Servers...)
	})
}

func wantRights(t *testing.T, acl []string, url string, servers ...*redistest.Server) {
	t.Helper()
	for _, server := range servers {
		server.MustCommand(acl...)
	}
	s := open(t, strings.Replace(url, "redis://", "redis://sso:password@", 1), redis.Options{
		Wait: redis.Wait{Replicas: 1, Time: time.Millisecond},
	})
	eventually(t, "it works", func() bool { return works(t, s) })
	c := watch(t, s)
	mustPut(t, s, "a")
	if _, _, err := s.Confirmed().Take(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if err := s.Scan(t.Context(), "", func(string, []byte) error { return nil }); err != nil {
		t.Error(err)
	}
	if _, err := s.Time(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.AskIdentity(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	for _, server := range s.Status(t.Context()).Redis.Servers {
		if server.Version == "" || server.Persistence == "" {
			t.Errorf("the status is %+v", server)
		}
	}
	servers[0].KillConnections()
	eventually(t, "the return is reported", func() bool { return c.lost.Load() >= 2 })
	eventually(t, "it works again", func() bool { return works(t, s) })
	for _, server := range servers {
		reply := server.MustCommand("ACL", "LOG")
		denied, err := reply.ToArray()
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range denied {
			what, _ := entry.AsStrMap()
			t.Errorf("denied: %v", what["object"])
		}
	}
}
