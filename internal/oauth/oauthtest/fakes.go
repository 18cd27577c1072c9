package oauthtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A Clock stands still until told otherwise.
type Clock struct {
	start  time.Time
	passed atomic.Int64
}

// Now is the time of the clock.
func (c *Clock) Now() time.Time { return c.start.Add(time.Duration(c.passed.Load())) }

// Advance moves it on.
func (c *Clock) Advance(by time.Duration) { c.passed.Add(int64(by)) }

// A Store is one that can be down, or whose answers can be lost.
type Store struct {
	storage.Store
	down, mute atomic.Bool
}

// Down says whether it is down from now on.
func (s *Store) Down(down bool) { s.down.Store(down) }

// LoseAnswers says whether swaps are done from now on, and nobody hears of it.
func (s *Store) LoseAnswers(lose bool) { s.mute.Store(lose) }

func (s *Store) failure() error {
	if s.down.Load() {
		return fmt.Errorf("dialing: %w", storage.ErrUnavailable)
	}
	return nil
}

// Get implements [storage.Store], as do the others.
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.failure(); err != nil {
		return nil, false, err
	}
	return s.Store.Get(ctx, key)
}

func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := s.failure(); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, value, lifetime)
}

func (s *Store) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := s.failure(); err != nil {
		return err
	}
	return s.Store.Pin(ctx, key, value, lifetime)
}

func (s *Store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.failure(); err != nil {
		return nil, false, err
	}
	return s.Store.Take(ctx, key)
}

func (s *Store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if err := s.failure(); err != nil {
		return false, err
	}
	swapped, err := s.Store.CompareAndSwap(ctx, key, old, next, lifetime)
	if s.mute.Load() {
		return false, fmt.Errorf("waiting for an answer: %w", storage.ErrUnavailable)
	}
	return swapped, err
}

// People are the users of now: all that sign in, but for those who are gone.
type People struct{ gone sync.Map }

// Current implements [oauth.Users].
func (p *People) Current(u session.User) (session.User, bool) {
	_, gone := p.gone.Load(u.Subject)
	return u, !gone
}

// Remove makes that there is no such user.
func (p *People) Remove(u session.User) { p.gone.Store(u.Subject, true) }

// Restore takes that back.
func (p *People) Restore(u session.User) { p.gone.Delete(u.Subject) }
