package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// synthetic is a store that holds whatever it is asked for, so that what a
// benchmark measures is the cache alone.
type synthetic struct{ storage.Store }

func (synthetic) Watch(func(storage.Change)) func() { return func() {} }

func (synthetic) Put(context.Context, string, []byte, time.Duration) error { return nil }

func (synthetic) Get(_ context.Context, key string) ([]byte, bool, error) {
	now := time.Now().UnixMilli()
	id := sha256.Sum256([]byte(key))
	return fmt.Appendf(nil, `{"v":1,"sub":"%x-%x-%x-%x-%x","name":"Firstname Lastname","email":"user.%x@example.com",`+
		`"groups":["users","editors"],"signin":"local","begun":%d,"expires":%d,"seen":%d}`,
		id[:4], id[4:6], id[6:8], id[8:10], id[10:16], id[:3], now, now+1e10, now), true, nil
}

// counting is a source of tokens that differ, and nothing else.
type counting struct{ n uint64 }

func (c *counting) Read(p []byte) (int, error) {
	c.n++
	binary.LittleEndian.PutUint64(p, c.n)
	return len(p), nil
}

var _ io.Reader = (*counting)(nil)

// filled returns a cache that knows n sessions, their cookies, and what it
// costs to keep each.
func filled(b *testing.B, n int) (s *session.Sessions, cookies []string, bytesEach float64) {
	b.Helper()
	cookies = make([]string, n)
	source := new(counting)
	for i := range cookies {
		var token session.Token
		_, _ = source.Read(token[:])
		cookies[i] = token.Encode()
	}
	rand.Shuffle(n, func(i, j int) { cookies[i], cookies[j] = cookies[j], cookies[i] })
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	// Shards fill unevenly, so a little more than n.
	c := session.NewCache(synthetic{}, session.CacheOptions{Capacity: n + n/10 + 64*64})
	b.Cleanup(c.Close)
	s = session.New(c, session.Policy{})
	for _, cookie := range cookies {
		if _, err := s.Check(b.Context(), cookie); err != nil {
			b.Fatal(err)
		}
	}
	return s, cookies, float64(heap()-before) / float64(n)
}

func BenchmarkCheck(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"1k", 1000}, {"1M", 1_000_000}} {
		b.Run(size.name, func(b *testing.B) {
			s, cookies, bytesEach := filled(b, size.n)
			b.Run("serial", func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if _, err := s.Check(b.Context(), cookies[i]); err != nil {
						b.Fatal(err)
					}
					if i++; i == len(cookies) {
						i = 0
					}
				}
				b.ReportMetric(bytesEach, "bytes/session")
			})
			b.Run("parallel", func(b *testing.B) {
				b.ReportAllocs()
				ctx := b.Context()
				b.RunParallel(func(pb *testing.PB) {
					i := rand.IntN(len(cookies))
					for pb.Next() {
						if _, err := s.Check(ctx, cookies[i]); err != nil {
							b.Error(err)
							return
						}
						if i++; i == len(cookies) {
							i = 0
						}
					}
				})
			})
		})
	}
}

// anySite is a store in which every site cookie leads to one session.
type anySite struct {
	synthetic
	sso string
}

func (a anySite) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if key[:5] == "site:" {
		return fmt.Appendf(nil, `{"v":1,"session":%q,"client":"wiki"}`, a.sso), true, nil
	}
	return a.synthetic.Get(ctx, key)
}

func BenchmarkCheckSite(b *testing.B) {
	key := session.Token{1}.Key()
	c := session.NewCache(anySite{sso: fmt.Sprintf("%x", key[:])}, session.CacheOptions{})
	defer c.Close()
	s := session.New(c, session.Policy{})
	cookie := session.Token{2}.Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.CheckSite(b.Context(), cookie, "wiki"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAttach(b *testing.B) {
	s, cookies, _ := filled(b, 1000)
	sess, err := s.Check(b.Context(), cookies[0])
	if err != nil {
		b.Fatal(err)
	}
	// As under net/http: a parent that can be cancelled.
	parent, cancel := context.WithCancel(b.Context())
	defer cancel()
	_, keep := context.WithCancel(parent)
	defer keep()
	b.ReportAllocs()
	for b.Loop() {
		_, release := s.Attach(parent, sess)
		release()
	}
}
