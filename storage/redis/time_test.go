package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func TestTheTimeIsThatOfTheServer(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"one": redistest.Start(t).URL(), "a cluster": redistest.StartCluster(t).URL()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, url, redis.Options{Timeout: 10 * time.Second})
			mustPut(t, s, "a")
			before := time.Now()
			told, err := s.Time(t.Context())
			if err != nil || told.Before(before.Truncate(time.Microsecond)) || told.After(time.Now()) {
				t.Errorf("%s, %v; asked at %s", told, err, before)
			}
		})
	}
}

func TestATimeThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), redis.Options{Timeout: time.Second})
	eventually(t, "it works", func() bool { return works(t, s) })
	server.MustCommand("ACL", "SETUSER", "default", "-time")
	if _, err := s.Time(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a user without the right: %v", err)
	}
	server.Stop()
	if _, err := s.Time(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a server that is down: %v", err)
	}
}
