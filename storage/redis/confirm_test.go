package redis_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// waitingStore opens a store whose writes wait for replicas, once the connection for
// that is open.
func waitingStore(t *testing.T, address string, wait redis.Wait) (s *redis.Store, confirmed storage.Store, unconfirmed *atomic.Int64) {
	t.Helper()
	unconfirmed = new(atomic.Int64)
	s = open(t, address, redis.Options{Wait: wait, Unconfirmed: func(int64, error) { unconfirmed.Add(1) }})
	return s, s.Confirmed(), unconfirmed
}

// told reads one line of INFO.
func told(t *testing.T, server *redistest.Server, section, name string) string {
	t.Helper()
	reply := server.MustCommand("INFO", section)
	text, err := reply.ToString()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// connections counts the connections of clients with the store's name.
func connections(t *testing.T, server *redistest.Server) int {
	t.Helper()
	reply := server.MustCommand("CLIENT", "LIST", "TYPE", "NORMAL")
	text, err := reply.ToString()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(text, "name=caddy-sso")
}

func TestAConfirmedTakeReturnsWhenAReplicaHasIt(t *testing.T) {
	t.Parallel()
	first, second := pair(t)
	s, confirmed, unconfirmed := waitingStore(t, first.URL(), redis.Wait{Replicas: 1, Time: 10 * time.Second})
	eventually(t, "it works", func() bool { return works(t, s) })
	eventually(t, "it has a connection to wait on", func() bool { return connections(t, first) >= 2 })
	mustPut(t, s, "a")
	eventually(t, "the replica has it", func() bool { return size(t, second) == 1 })
	second.Freeze()
	taken := make(chan error, 1)
	go func() {
		_, _, err := confirmed.Take(t.Context(), "a")
		taken <- err
	}()
	eventually(t, "it waits", func() bool { return told(t, first, "clients", "blocked_clients") == "1" })
	if size(t, first) != 0 {
		t.Error("the master still has it")
	}
	// Other operations do not wait meanwhile.
	if _, _, err := s.Get(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	select {
	case err := <-taken:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	second.Thaw()
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if size(t, second) != 0 {
		t.Error("the replica still has it")
	}
	if unconfirmed.Load() > 0 {
		t.Error("someone is told that it was not confirmed")
	}
}

// The master and every node have the write, so an error would be wrong.
func TestAnEndingWithoutConfirmationIsReportedButIsNoError(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, confirmed, unconfirmed := waitingStore(t, server.URL(), redis.Wait{Replicas: 1, Time: time.Millisecond})
	eventually(t, "it works", func() bool { return works(t, s) })
	for range 3 {
		mustPut(t, s, "a")
		if _, ok, err := confirmed.Take(t.Context(), "a"); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	}
	if n := unconfirmed.Load(); n != 3 {
		t.Errorf("%d were not confirmed, want 3", n)
	}
}

func TestConfirmedWritesWorkOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	cluster.AddReplica(t, cluster.Servers[1])
	_, confirmed, unconfirmed := waitingStore(t, cluster.URL(), redis.Wait{Replicas: 1, Time: 5 * time.Second})
	confirms := func(key string) bool {
		before := unconfirmed.Load()
		if err := confirmed.Put(t.Context(), key, []byte("1"), time.Hour); err != nil {
			return false
		}
		_, ok, err := confirmed.Take(t.Context(), key)
		return ok && err == nil && unconfirmed.Load() == before
	}
	keyOf := map[bool]string{} // a key per kind of master: with a replica, or without
	for i := range 100 {
		key := "key" + strconv.Itoa(i)
		reply := cluster.Servers[0].MustCommand("CLUSTER", "KEYSLOT", "sso:"+key)
		slot, err := reply.AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		keyOf[slot >= 16384/3+1 && slot < 16384*2/3-1] = key
	}
	eventually(t, "a replica confirms", func() bool { return confirms(keyOf[true]) })
	if confirms(keyOf[false]) {
		t.Error("a replica that does not exist has confirmed")
	}
}

// Ending something is more important than its confirmation.
func TestAServerWithoutAConnectionForWaitingStillAcceptsEndings(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	plain := open(t, server.URL(), redis.Options{})
	eventually(t, "it works", func() bool { return works(t, plain) })
	_, confirmed, unconfirmed := waitingStore(t, server.URL(), redis.Wait{Replicas: 1, Time: time.Second})
	eventually(t, "it has a connection to wait by", func() bool { return connections(t, server) == 3 })
	server.MustCommand("CONFIG", "SET", "maxclients", "3")
	for range 2 {
		mustPut(t, plain, "a")
		if _, ok, err := confirmed.Take(t.Context(), "a"); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	}
	if n := unconfirmed.Load(); n != 2 {
		t.Errorf("%d were not confirmed, want 2", n)
	}
}
