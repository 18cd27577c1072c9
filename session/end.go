package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// takeRetries are the pauses before another attempt to remove a record: a
// write whose connection has just died is worth repeating.
var takeRetries = [...]time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}

// End ends a session: in the store, in memory, and with it its site sessions
// and live requests. Ending what is not there is no error. Where the store
// does not answer, this process has dropped the session all the same, but it
// may come back with the store: the caller must not claim that it is over.
func (s *Sessions) End(ctx context.Context, k Key) error {
	_, err := s.end(ctx, &k)
	return err
}

func (s *Sessions) end(ctx context.Context, k *Key) (existed bool, err error) {
	existed, err = s.cache.take(ctx, k.in(sessionPrefix))
	s.cache.gone(k)
	if err != nil {
		return false, fmt.Errorf("ending session %s: %w", k.ID(), err)
	}
	s.cache.endSites(ctx, k)
	return existed, nil
}

// take removes a record.
func (c *Cache) take(ctx context.Context, key string) (existed bool, err error) {
	for attempt := 0; ; attempt++ {
		_, existed, err = c.store.Take(ctx, key)
		if err == nil || !errors.Is(err, storage.ErrUnavailable) || attempt == len(takeRetries) {
			return existed, err
		}
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(takeRetries[attempt]):
		}
	}
}

// List calls fn for every live session, in no particular order, until fn
// returns an error, which List then returns. It reads the whole store. The
// store is being read while fn runs, so fn must not call it.
func (s *Sessions) List(ctx context.Context, fn func(*Session) error) error {
	return s.scan(ctx, "", fn)
}

// scan is List of the sessions whose key begins with id.
func (s *Sessions) scan(ctx context.Context, id string, fn func(*Session) error) error {
	now := s.cache.now()
	return s.cache.store.Scan(ctx, sessionPrefix+id, func(key string, value []byte) error {
		k, ok := parseKey(strings.TrimPrefix(key, sessionPrefix))
		if !ok {
			return nil
		}
		r, err := decodeRecord(value)
		if err != nil {
			s.cache.logger("session "+k.ID(), err)
			return nil
		}
		found := newSession(k, r)
		if !s.terms.alive(found, now) {
			return nil
		}
		return fn(found)
	})
}

// EndMatching ends all sessions that match, and returns how many it ended. One
// that cannot be ended does not keep it from the others.
func (s *Sessions) EndMatching(ctx context.Context, match func(*Session) bool) (int, error) {
	var keys []Key
	err := s.List(ctx, func(found *Session) error {
		if match(found) {
			keys = append(keys, found.key)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("listing sessions: %w", err)
	}
	errs := []error{err}
	ended := 0
	for i := range keys {
		existed, err := s.end(ctx, &keys[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if existed {
			ended++
		}
	}
	return ended, errors.Join(errs...)
}

// Find returns the live session with that [Session.ID]. The error is [ErrNone]
// where there is none.
func (s *Sessions) Find(ctx context.Context, id string) (*Session, error) {
	if len(id) != idLength {
		return nil, ErrNone
	}
	var match *Session
	err := s.scan(ctx, id, func(found *Session) error {
		match = found
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("finding a session: %w", err)
	}
	if match == nil {
		return nil, ErrNone
	}
	return match, nil
}
