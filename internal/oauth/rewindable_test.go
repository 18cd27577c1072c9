package oauth_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// A rewindable store simulates a Redis with failovers. It keeps values in a map
// without expiry, and can return to earlier values under another identity. It can
// lose the answer to a swap of a grant, or the swap itself.
type rewindable struct {
	storage.Store // nil: the other methods are not used

	server
	before []server // the state before each swap of a grant
	seen   string   // the identity that nodes know; it may belong to another server
	swaps  int      // of grants

	silent  bool // it does not say which server it is
	lose    loss
	between func() // happens before the next swap
}

// A server has the values of one Redis server. They are never changed in place.
type server struct {
	identity string
	values   map[string][]byte
}

type loss int

const (
	nothingLost loss = iota
	swapLost
	answerLost
)

func newRewindable() *rewindable {
	return &rewindable{server: server{identity: "first", values: map[string][]byte{}}, seen: "first"}
}

var errLost = fmt.Errorf("%w: no answer", storage.ErrUnavailable)

func (s *rewindable) Get(_ context.Context, key string) ([]byte, bool, error) {
	value, ok := s.values[key]
	return bytes.Clone(value), ok, nil
}

func (s *rewindable) Put(_ context.Context, key string, value []byte, _ time.Duration) error {
	s.values = maps.Clone(s.values)
	s.values[key] = bytes.Clone(value)
	return nil
}

func (s *rewindable) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	return s.Put(ctx, key, value, lifetime)
}

func (s *rewindable) Take(_ context.Context, key string) ([]byte, bool, error) {
	value, ok := s.values[key]
	s.values = maps.Clone(s.values)
	delete(s.values, key)
	return value, ok, nil
}

func (s *rewindable) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	ofGrant := strings.HasPrefix(key, "grant:")
	lost := nothingLost
	if ofGrant {
		if happens := s.between; happens != nil {
			s.between = nil
			happens()
		}
		lost, s.lose = s.lose, nothingLost
	}
	if lost == swapLost {
		return false, errLost
	}
	value, ok := s.values[key]
	if ok != (old != nil) || !bytes.Equal(value, old) {
		return false, nil
	}
	if ofGrant {
		s.before = append(slices.Clip(s.before), s.server)
		s.swaps++
	}
	if err := s.Put(ctx, key, next, lifetime); err != nil {
		return false, err
	}
	if lost == answerLost {
		return false, errLost
	}
	return true, nil
}

func (s *rewindable) Watch(func(storage.Change)) func() { return func() {} }

func (s *rewindable) Identity(string) string { return s.seen }

func (s *rewindable) AskIdentity(context.Context, string) (string, error) {
	if s.silent {
		return "", errLost
	}
	return s.identity, nil
}

// failOver makes a server that missed the last swaps of grants the master.
func (s *rewindable) failOver(identity string, missed int) {
	if missed > 0 {
		s.server = s.before[len(s.before)-missed]
		s.before = s.before[:len(s.before)-missed]
	}
	s.identity = identity
}

// onRewindable puts the world on a rewindable store.
func (w *world) onRewindable() *rewindable {
	s := newRewindable()
	w.store.Store = s
	w.restart()
	w.Store = s // the world's own store has no identity
	return s
}

var _ storage.Identified = (*rewindable)(nil)
