package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
	"github.com/caddy-sso/caddy-sso/storage/storagetest"
)

func open(tb testing.TB, address string, o redis.Options) *redis.Store {
	tb.Helper()
	s, err := redis.Open(address, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// contract runs the contract on stores with long timeouts for a busy machine. empty
// removes all values from the servers.
func contract(t *testing.T, address string, empty func()) {
	o := redis.Options{Timeout: 10 * time.Second}
	storagetest.Run(t, func(t *testing.T) storagetest.Opened {
		empty()
		s := open(t, address, o)
		return storagetest.Opened{
			Store:  s,
			Unit:   500 * time.Millisecond,
			Pass:   func(d time.Duration) { time.Sleep(d + 20*time.Millisecond) },
			Second: func(t *testing.T) storage.Store { return open(t, address, o) },
		}
	})
}

func TestContractOnOneServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	contract(t, server.URL(), func() { server.MustCommand("FLUSHALL") })
}

func TestContractOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	contract(t, cluster.URL(), func() {
		for _, server := range cluster.Servers {
			server.MustCommand("FLUSHALL")
		}
	})
}

// Every write of these stores waits for a replica.
func TestContractWithSentinelAndWaiting(t *testing.T) {
	t.Parallel()
	first, _ := pair(t)
	sentinels := redistest.StartSentinels(t, first, 1)
	o := redis.Options{Timeout: 10 * time.Second, Wait: redis.Wait{Replicas: 1, Time: time.Second}}
	waiting := func(t *testing.T) storage.Store { return open(t, sentinels.URL(), o).Confirmed() }
	storagetest.Run(t, func(t *testing.T) storagetest.Opened {
		first.MustCommand("FLUSHALL")
		return storagetest.Opened{
			Store:  waiting(t),
			Unit:   500 * time.Millisecond,
			Pass:   func(d time.Duration) { time.Sleep(d + 20*time.Millisecond) },
			Second: waiting,
		}
	})
}

func TestOneNodeOfAClusterFindsTheOthers(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := open(t, cluster.Servers[1].URL(), redis.Options{Timeout: 10 * time.Second})
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		if err := s.Put(t.Context(), key, []byte(key), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	if err := s.Scan(t.Context(), "", func(string, []byte) error { n++; return nil }); err != nil || n != 6 {
		t.Errorf("%d values scanned, %v", n, err)
	}
}

func TestUnixSocketsAndPasswordsWork(t *testing.T) {
	t.Parallel()
	const password = "p@ss/w:rd?,"
	const encoded = "p%40ss%2Fw%3Ard%3F%2C"
	server := redistest.Start(t, "--requirepass", password)
	for _, address := range []string{
		"redis://:" + encoded + "@" + server.Addr(),
		"redis://default:" + encoded + "@" + server.Addr() + "/1",
		"unix://default:" + encoded + "@" + server.Socket(),
	} {
		s := open(t, address, redis.Options{Timeout: 10 * time.Second})
		if err := s.Put(t.Context(), "a", []byte("1"), time.Hour); err != nil {
			t.Errorf("%s: %v", strings.ReplaceAll(address, encoded, "…"), err)
		}
	}
}

func TestStoresWithDifferentPrefixesAreSeparate(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, server.URL(), redis.Options{Timeout: 10 * time.Second})
	b := open(t, server.URL(), redis.Options{Timeout: 10 * time.Second, Prefix: "other:"})
	seenByA, seenByB := watch(t, a), watch(t, b)
	mustPut(t, b, "other")
	if err := a.Put(t.Context(), "key", []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
	server.MustCommand("SET", "other:last", "1")
	eventually(t, "its own changes are told", func() bool { return seenByB.saw("last") })
	if seenByA.saw("other") || seenByB.saw("key") {
		t.Error("a change of the other store was reported")
	}
	if _, ok, err := b.Get(t.Context(), "key"); ok || err != nil {
		t.Errorf("got the other store's value: %v, %v", ok, err)
	}
	exists := server.MustCommand("EXISTS", "sso:key")
	if n, err := exists.AsInt64(); n != 1 || err != nil {
		t.Errorf("sso:key is not on the server: %d, %v", n, err)
	}
}

func BenchmarkStore(b *testing.B) {
	s := open(b, redistest.Start(b).URL(), redis.Options{})
	storagetest.Bench(b, s)
}
