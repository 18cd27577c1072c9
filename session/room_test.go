//go:build unix

package session_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.etcd.io/bbolt"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/file"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

const (
	program = "Go-http-client/1.1"
	browser = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)

// signIns signs n users in, each at one site.
func signIns(t *testing.T, store storage.Store, f records.Format, agent string, n int) {
	t.Helper()
	cache := session.NewCache(store, session.CacheOptions{})
	defer cache.Close()
	s := session.New(cache, session.Policy{Format: f})
	const atOnce = 64
	var all sync.WaitGroup
	for worker := range atOnce {
		all.Go(func() {
			for i := worker; i < n; i += atOnce {
				_, sso, err := s.Begin(t.Context(), session.SignIn{Agent: agent, From: "203.0.113.7", User: session.User{
					Subject: fmt.Sprintf("%08x-1b2c-4d3e-8f90-%012x", i, i*7919), Name: fmt.Sprintf("user%d", i), Email: fmt.Sprintf("user%d@example.com", i),
					Groups: []string{"players"}, Signin: "local", Mark: "3q2-7wAAAAAAAAAAAAAAAA",
				}})
				if err == nil {
					_, err = s.BeginSite(t.Context(), sso, "1", "WlTq0FPdXxVjZ0kT6fXk4A")
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

// A sign-in is a session, a site session, and the lists that they are on.
func TestFormat2TakesHalfTheRoom(t *testing.T) {
	for engine, room := range map[string]func(t *testing.T, f records.Format, agent string) (bytes, users int){
		"redis": func(t *testing.T, f records.Format, agent string) (bytes, users int) {
			server := redistest.Start(t)
			store, err := redis.Open(server.URL(), redis.Options{Timeout: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			const n = 8000
			signIns(t, store, f, agent, 64) // the connections take room, too
			before := usedMemory(t, server)
			signIns(t, store, f, agent, n)
			return usedMemory(t, server) - before, n
		},
		"file": func(t *testing.T, f records.Format, agent string) (bytes, users int) {
			const n = 1000
			path := filepath.Join(t.TempDir(), "sso.db")
			store, err := file.Open(path, file.Options{})
			if err != nil {
				t.Fatal(err)
			}
			signIns(t, store, f, agent, n)
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			return usedPages(t, path), n
		},
	} {
		for _, agent := range []string{program, browser} {
			t.Run(engine, func(t *testing.T) {
				bytes, users := room(t, records.JSON, agent)
				one := bytes / users
				bytes, users = room(t, records.CBOR, agent)
				two := bytes / users
				t.Logf("%d bytes a sign-in in format 1, %d in format 2", one, two)
				if 100*two > 52*one { // allocators differ a little
					t.Errorf("a sign-in in format 2 takes %d bytes, more than half of the %d in format 1", two, one)
				}
			})
		}
	}
}

func usedMemory(t *testing.T, server *redistest.Server) int {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text, err := c.Do(t.Context(), c.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = strings.Cut(text, "\nused_memory:")
	text, _, _ = strings.Cut(text, "\r")
	used, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// usedPages is the size of a bbolt file without its free pages.
func usedPages(t *testing.T, path string) (used int) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		used = int(tx.Size()) - db.Stats().FreePageN*db.Info().PageSize
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}
