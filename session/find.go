package session

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-sso/caddy-sso/storage"
)

// ErrSearch means that a session was not found by the beginning of its ID, and only a
// search of the whole store can find it: see [Sessions.List].
var ErrSearch = errors.New("session: the store cannot find it by a part of its ID")

// Find returns the live session with an ID. The ID is [Key.Whole], or its beginning,
// at least as long as [Session.ID]. The error is [ErrNone] if there is no such
// session. For a whole ID, Find asks the store once. For a part of it, Find looks in
// memory, and in a store that is a [storage.Seeker]; with other stores the error is
// [ErrSearch].
func (s *Sessions) Find(ctx context.Context, id string) (*Session, error) {
	now := s.cache.now()
	if k, whole := parseKey(id); whole {
		return s.findIn(ctx, []Key{k}, now)
	}
	if !isID(id) {
		return nil, ErrNone
	}
	if k, there := s.inMemory(id); there {
		if found, err := s.inStore(ctx, &k, now); found != nil || err != nil {
			return found, err
		}
	}
	first, err := hex.DecodeString(id[:len(id)&^1])
	if err != nil {
		return nil, ErrNone
	}
	for _, begin := range sessionPrefix.begin(first) {
		if !storage.Seeks(s.cache.store, begin) {
			return nil, ErrSearch
		}
	}
	var match *Session
	_, err = s.scan(ctx, first, func(found *Session) error {
		if strings.HasPrefix(found.key.Whole(), id) {
			match = found
		}
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

// FindOfUser is Find among the sessions of one user. It reads the user's list, so it
// works with every store.
func (s *Sessions) FindOfUser(ctx context.Context, subject, id string) (*Session, error) {
	listed, err := s.listing(ctx, subject)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, e := range listed {
		if isID(id) && strings.HasPrefix(e.key.Whole(), id) {
			keys = append(keys, e.key)
		}
	}
	return s.findIn(ctx, keys, s.cache.now())
}

// findIn returns the first live session of keys.
func (s *Sessions) findIn(ctx context.Context, keys []Key, now int64) (*Session, error) {
	for i := range keys {
		if found, err := s.inStore(ctx, &keys[i], now); found != nil || err != nil {
			return found, err
		}
	}
	return nil, ErrNone
}

// inMemory finds a session in the cache by the beginning of its ID.
func (s *Sessions) inMemory(id string) (Key, bool) {
	first, err := hex.DecodeString(id[:idLength])
	if err != nil {
		return Key{}, false
	}
	found := s.cache.sessions.Find(first[0], func(known *Session) bool {
		return bytes.HasPrefix(known.key[:], first) && strings.HasPrefix(known.key.Whole(), id)
	})
	if found == nil {
		return Key{}, false
	}
	return found.key, true
}

// isID reports whether text can be the ID of a session, whole or in part.
func isID(id string) bool {
	return len(id) >= idLength && len(id) <= 2*len(Key{}) && strings.Trim(id, "0123456789abcdef") == ""
}
