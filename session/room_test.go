//go:build unix

package session_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/rueidis"

	"github.com/caddy-sso/caddy-sso/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/file"
	"github.com/caddy-sso/caddy-sso/storage/redis"
	"github.com/caddy-sso/caddy-sso/storage/redistest"
)

func signInMany(t *testing.T, store storage.Store, n int, agent string, format records.Format) {
	t.Helper()
	cache := session.NewCache(store, session.CacheOptions{})
	defer cache.Close()
	s := session.New(cache, session.Policy{Format: format})
	var all sync.WaitGroup
	for worker := range 64 {
		all.Go(func() {
			for i := worker; i < n; i += 64 {
				user := session.User{
					Subject: fmt.Sprintf("%08x-1b2c-4d3e-8f90-%012x", i, i*7919), Name: fmt.Sprintf("user%d", i),
					Email: fmt.Sprintf("user%d@example.com", i), Groups: []string{"players"}, Signin: "local", Mark: "3q2-7wAAAAAAAAAAAAAAAA",
				}
				_, sso, err := s.Begin(context.Background(), session.SignIn{User: user, Agent: agent, From: "203.0.113.7"})
				if err == nil {
					_, err = s.BeginSite(context.Background(), sso, "1", "0123456789abcdef0123")
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestRoom(t *testing.T) {
	for _, format := range []records.Format{records.JSON, records.CBOR} {
		for _, agent := range []string{"", "Go-http-client/1.1", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"} {
			server := redistest.Start(t)
			store, err := redis.Open(server.URL(), redis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}})
			if err != nil {
				t.Fatal(err)
			}
			used := func() int {
				text, err := c.Do(t.Context(), c.B().Info().Section("memory").Build()).ToString()
				if err != nil {
					t.Fatal(err)
				}
				_, rest, _ := strings.Cut(text, "\nused_memory_dataset:")
				rest, _, _ = strings.Cut(rest, "\r")
				_, rest2, _ := strings.Cut(text, "\nused_memory:")
				rest2, _, _ = strings.Cut(rest2, "\r")
				n, _ := strconv.Atoi(rest2)
				return n
			}
			signInMany(t, store, 64, agent, format)
			before := used()
			const n = 20000
			signInMany(t, store, n, agent, format)
			t.Logf("format %d agent %d bytes: redis %d", format, len(agent), (used()-before)/n)
			store.Close()
			c.Close()

			path := filepath.Join(t.TempDir(), "sso.db")
			fs, err := file.Open(path, file.Options{})
			if err != nil {
				t.Fatal(err)
			}
			signInMany(t, fs, n, agent, format)
			fs.Close()
			fi, _ := os.Stat(path)
			t.Logf("format %d agent %d bytes: file %d", format, len(agent), int(fi.Size())/n)
		}
	}
}
