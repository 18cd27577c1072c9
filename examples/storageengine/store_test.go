package ssostorage

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/storagetest"
)

// A clock moves only when it is told to.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time       { return time.Unix(1_800_000_000, c.offset.Load()) }
func (c *clock) Pass(d time.Duration) { c.offset.Add(int64(d)) }

func open(t *testing.T, capacity int) (*Store, *clock) {
	t.Helper()
	c := new(clock)
	s := NewStore(capacity, c.Now)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, c
}

func TestTheStorePassesTheConformanceSuite(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Opened {
		t.Helper()
		s, c := open(t, 100_000)
		return storagetest.Opened{Store: s, Pass: c.Pass, Unit: time.Minute}
	})
}

func TestAFullStoreRefusesUntilValuesExpire(t *testing.T) {
	s, c := open(t, 1)
	if err := s.Put(t.Context(), "a", []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "b", []byte("1"), time.Hour); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if err := s.Pin(t.Context(), "b", []byte("1"), time.Hour); !errors.Is(err, storage.ErrFull) {
		t.Errorf("pinned: %v", err)
	}
	if _, err := s.CompareAndSwap(t.Context(), "b", nil, []byte("1"), time.Hour); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("swapped: %v", err)
	}
	if err := s.Put(t.Context(), "a", []byte("2"), time.Hour); err != nil {
		t.Errorf("replaced: %v", err)
	}
	c.Pass(time.Hour)
	if err := s.Pin(t.Context(), "b", []byte("1"), time.Hour); err != nil {
		t.Errorf("pinned once the other value has expired: %v", err)
	}
}
