package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/storage"
)

// takeRetries are the pauses before further attempts to remove a record: it helps to
// repeat a write whose connection has just been lost.
var takeRetries = [...]time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}

// takeTime is the time after which no further attempt begins. An attempt without a
// connection fails at once, but one that waits for an answer takes about a second.
const takeTime = 900 * time.Millisecond

// End ends a session in the store and in memory, with its site sessions and live
// requests. Ending a session that does not exist is no error. If the store does not
// answer, this process has still dropped the session, but the store may have it: the
// caller must not say that the session has ended.
func (s *Sessions) End(ctx context.Context, k Key) error {
	_, err := s.end(ctx, &k)
	return err
}

// end returns the session that it ended, or nil if there was none.
func (s *Sessions) end(ctx context.Context, k *Key) (*Session, error) {
	ended, err := s.remove(ctx, k)
	if ended != nil {
		s.delist(ctx, ended.User().Subject, *k)
	}
	return ended, err
}

// remove is end without a change of the user's list.
func (s *Sessions) remove(ctx context.Context, k *Key) (*Session, error) {
	value, existed, err := s.cache.take(ctx, k.in(sessionPrefix))
	s.cache.gone(k)
	if err != nil {
		return nil, fmt.Errorf("ending session %s: %w", k.ID(), err)
	}
	var r record
	if existed {
		if r, err = decodeRecord(value); err != nil {
			s.cache.logger("session "+k.ID(), err)
			existed = false
		}
	}
	s.cache.endSites(ctx, k, r.Sites)
	if !existed {
		return nil, nil
	}
	return newSession(*k, r), nil
}

// take removes a record. It waits only once for a silent store, since a user waits
// for the answer.
func (c *Cache) take(ctx context.Context, key string) (value []byte, existed bool, err error) {
	began := c.clock()
	for attempt := 0; ; attempt++ {
		value, existed, err = c.store.Take(ctx, key)
		if err == nil || !errors.Is(err, storage.ErrUnavailable) ||
			attempt == len(takeRetries) || c.clock().Sub(began) >= takeTime {
			return value, existed, err
		}
		select {
		case <-ctx.Done():
			return nil, false, err
		case <-time.After(takeRetries[attempt]):
		}
	}
}

// List calls fn for every live session, in no particular order. If fn returns an
// error, List stops and returns it. List reads the whole store. fn must not use the
// store.
func (s *Sessions) List(ctx context.Context, fn func(*Session) error) error {
	_, err := s.scan(ctx, nil, fn)
	return err
}

// scan is List for sessions whose key begins with id. It skips records of a newer
// release, and returns their number.
func (s *Sessions) scan(ctx context.Context, id []byte, fn func(*Session) error) (newer int, err error) {
	now := s.cache.now()
	for _, begin := range sessionPrefix.begin(id) {
		err := s.cache.store.Scan(ctx, begin, func(key string, value []byte) error {
			k, ok := sessionPrefix.parse(key)
			if !ok {
				return nil
			}
			found, err := s.decode(k, value, now)
			if err != nil {
				newer++
			}
			if found == nil {
				return nil
			}
			return fn(found)
		})
		if err != nil {
			return newer, err
		}
	}
	return newer, nil
}

// decode decodes the session that is stored under k. It returns nil if the record is
// malformed or the session has expired. The only error is a [records.ErrVersion].
func (s *Sessions) decode(k Key, value []byte, now int64) (*Session, error) {
	r, err := decodeRecord(value)
	if err != nil {
		s.cache.logger("session "+k.ID(), err)
		if err = unread(err); errors.Is(err, ErrNone) {
			err = nil
		}
		return nil, err
	}
	found := newSession(k, r)
	if !s.terms.alive(found, now) {
		return nil, nil
	}
	return found, nil
}

// EndMatching ends all sessions that match, and returns those that it ended. If one
// cannot be ended, it still ends the others. It reads the whole store. If the subject
// is known, use [Sessions.EndUser], which does not.
func (s *Sessions) EndMatching(ctx context.Context, match func(*Session) bool) ([]*Session, error) {
	var keys []Key
	newer, err := s.scan(ctx, nil, func(found *Session) error {
		if match(found) {
			keys = append(keys, found.key)
		}
		return nil
	})
	if err == nil && newer > 0 {
		err = fmt.Errorf("%d were left: %w", newer, records.ErrVersion)
	}
	if err != nil {
		err = fmt.Errorf("listing sessions: %w", err)
	}
	ended, endErr := s.endAll(ctx, keys)
	for _, one := range ended {
		s.delist(ctx, one.User().Subject, one.key)
	}
	return ended, errors.Join(err, endErr)
}

// endAll removes sessions, some at the same time, and returns those that it found.
// The error says how many are left.
func (s *Sessions) endAll(ctx context.Context, keys []Key) ([]*Session, error) {
	found, failures := make([]*Session, len(keys)), make([]error, len(keys))
	storage.Each(len(keys), func(i int) { found[i], failures[i] = s.remove(ctx, &keys[i]) })
	var err error
	left := 0
	for _, failure := range failures {
		if failure != nil {
			left, err = left+1, failure
		}
	}
	if err != nil {
		err = fmt.Errorf("%d sessions are left: %w", left, err)
	}
	return slices.DeleteFunc(found, func(one *Session) bool { return one == nil }), err
}

// CloseRequests ends the live requests of users that match, as the end of their
// sessions would. The sessions stay, since a user who was removed from the
// configuration may come back.
func (s *Sessions) CloseRequests(match func(User) bool) {
	s.cache.feed.Requests.EndAll(func(r *request) bool { return match(r.session.User()) })
}
