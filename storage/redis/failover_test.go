package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func pair(t *testing.T) (first, second *redistest.Server) {
	first, second = redistest.Start(t), redistest.Start(t)
	second.Follow(first)
	return first, second
}

// works checks that all operations of a sign-in succeed.
func works(t *testing.T, s storage.Store) bool {
	if err := s.Put(t.Context(), "new", []byte("1"), time.Hour); err != nil {
		return false
	}
	swapped, err := s.CompareAndSwap(t.Context(), "new", []byte("1"), []byte("2"), time.Hour)
	if err != nil || !swapped {
		return false
	}
	value, ok, err := s.Take(t.Context(), "new")
	return err == nil && ok && string(value) == "2"
}

func TestAFailoverBehindOneAddressNeedsNoAction(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(first *redistest.Server){
		"the old master is demoted, its connections stay open": nil,
		"the old master dies":              func(first *redistest.Server) { first.Kill() },
		"the old master falls silent, too": func(first *redistest.Server) { first.Freeze() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := pair(t)
			p := redistest.StartProxy(t, first)
			s := open(t, p.URL(), redis.Options{})
			eventually(t, "it works", func() bool { return works(t, s) })
			mustPut(t, s, "a")
			eventually(t, "the replica has it", func() bool {
				reply := second.MustCommand("EXISTS", "sso:a")
				n, err := reply.AsInt64()
				return err == nil && n == 1
			})
			c := watch(t, s)
			p.LeadTo(second)
			second.Promote()
			if fail != nil {
				fail(first)
			} else {
				first.Follow(second)
			}
			eventually(t, "it works on the new master", func() bool { return works(t, s) })
			if c.lost.Load() == 0 {
				t.Error("no watcher got Lost")
			}
			if _, ok, err := s.Get(t.Context(), "a"); !ok || err != nil {
				t.Errorf("a value that was stored before: %v, %v", ok, err)
			}
			// The feed comes from the new master.
			second.MustCommand("SET", "sso:later", "1")
			eventually(t, "a change at the new master is reported", func() bool { return c.saw("later") })
		})
	}
}

// A replica may have old values, so it must not answer.
func TestAServerThatBecameAReplicaIsUnavailableUntilItIsPromoted(t *testing.T) {
	t.Parallel()
	first, second := pair(t)
	s := open(t, first.URL(), redis.Options{Timeout: 300 * time.Millisecond})
	eventually(t, "it works", func() bool { return works(t, s) })
	mustPut(t, s, "a")
	c := watch(t, s)
	second.Promote()
	first.Follow(second)
	eventually(t, "a read is refused", func() bool {
		_, _, err := s.Get(t.Context(), "a")
		return errors.Is(err, storage.ErrUnavailable) && strings.Contains(err.Error(), "as master")
	})
	wantUnavailable(t, s)
	lost := c.lost.Load()
	if lost == 0 {
		t.Error("no watcher got Lost")
	}
	first.Promote()
	eventually(t, "it works again", func() bool { return works(t, s) })
	eventually(t, "the return is reported", func() bool { return c.lost.Load() > lost })
}

// Someone gives the replica's address, or is led there at first.
func TestAStoreThatBeginsAtAReplicaFindsTheMasterLater(t *testing.T) {
	t.Parallel()
	first, second := pair(t)
	p := redistest.StartProxy(t, second)
	s := open(t, p.URL(), redis.Options{Timeout: 300 * time.Millisecond})
	wantUnavailable(t, s)
	p.LeadTo(first)
	eventually(t, "it works", func() bool { return works(t, s) })
}
