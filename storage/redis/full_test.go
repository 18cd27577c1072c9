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

// A full server refuses new values, as configured, and evicts no pinned value.
func TestClass35AFullServerEvictsNoPinnedValue(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "4mb", "--maxmemory-policy", "noeviction")
	s := open(t, server.URL(), redis.Options{Timeout: 10 * time.Second})
	pinned := 0
	for ; pinned < 1000; pinned++ {
		err := s.Pin(t.Context(), fmt.Sprint(pinned), make([]byte, 16<<10), time.Hour)
		if errors.Is(err, storage.ErrUnavailable) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if pinned == 0 || pinned == 1000 {
		t.Fatalf("the server accepted %d", pinned)
	}
	for i := range pinned {
		if _, ok, err := s.Get(t.Context(), fmt.Sprint(i)); !ok || err != nil {
			t.Errorf("%d of %d: %v, %v", i, pinned, ok, err)
		}
	}
}
