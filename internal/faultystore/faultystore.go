// Package faultystore is a storage engine that fails as a test tells it to.
package faultystore

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// ErrDown is the error of a store that does not answer.
var ErrDown = fmt.Errorf("dialing: %w", storage.ErrUnavailable)

// A Store passes calls on to another store, unless a test makes them fail. Of [Store.Fail],
// [Store.FailCalls], [Store.FailMethods] and [Store.Down] the last call is valid. Watch
// and Close never fail.
type Store struct {
	storage.Store
	fault atomic.Pointer[Fault]
	mute  atomic.Bool
}

// A Fault returns the error of a call, or nil if the call is passed on. The name of the
// method is that in [storage.Store]; Scan has its prefix as the key.
type Fault func(method, key string) error

// New returns a store that passes all calls on to inner.
func New(inner storage.Store) *Store { return &Store{Store: inner} }

// Fail makes calls fail with a fault; nil: none.
func (s *Store) Fail(fault Fault) {
	if fault == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&fault)
}

// FailWith makes every call fail with err; nil: none.
func (s *Store) FailWith(err error) {
	s.Fail(func(_, _ string) error { return err })
}

// FailCalls makes those calls fail with [ErrDown] whose number failing reports true for.
// The next call has the number one. It returns a function that counts the calls since.
func (s *Store) FailCalls(failing func(call int) bool) (count func() int) {
	var calls atomic.Int64
	s.Fail(func(_, _ string) error {
		if failing(int(calls.Add(1))) {
			return ErrDown
		}
		return nil
	})
	return func() int { return int(calls.Load()) }
}

// FailMethods makes all calls of these methods fail with [ErrDown].
func (s *Store) FailMethods(methods ...string) {
	s.Fail(func(method, _ string) error {
		if slices.Contains(methods, method) {
			return ErrDown
		}
		return nil
	})
}

// Full makes every write that needs room fail, as with Redis at its limit.
func (s *Store) Full() { s.FailMethods("Put", "Pin", "CompareAndSwap") }

// NewFull returns a store with the values of inner, and without room for more.
func NewFull(inner storage.Store) *Store {
	s := New(inner)
	s.Full()
	return s
}

// Down makes every call fail with [ErrDown], or none.
func (s *Store) Down(down bool) {
	if !down {
		s.Fail(nil)
		return
	}
	s.FailWith(ErrDown)
}

// LoseAnswers makes every swap end with an error after it was done, or none.
func (s *Store) LoseAnswers(lose bool) { s.mute.Store(lose) }

func (s *Store) failure(method, key string) error {
	if fault := s.fault.Load(); fault != nil {
		return (*fault)(method, key)
	}
	return nil
}

// Get implements [storage.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.failure("Get", key); err != nil {
		return nil, false, err
	}
	return s.Store.Get(ctx, key)
}

// Put implements [storage.Store].
func (s *Store) Put(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := s.failure("Put", key); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, value, lifetime)
}

// Pin implements [storage.Store].
func (s *Store) Pin(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := s.failure("Pin", key); err != nil {
		return err
	}
	return s.Store.Pin(ctx, key, value, lifetime)
}

// Take implements [storage.Store].
func (s *Store) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.failure("Take", key); err != nil {
		return nil, false, err
	}
	return s.Store.Take(ctx, key)
}

// CompareAndSwap implements [storage.Store].
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (bool, error) {
	if err := s.failure("CompareAndSwap", key); err != nil {
		return false, err
	}
	swapped, err := s.Store.CompareAndSwap(ctx, key, old, next, lifetime)
	if s.mute.Load() {
		return false, fmt.Errorf("waiting for an answer: %w", storage.ErrUnavailable)
	}
	return swapped, err
}

// Scan implements [storage.Store].
func (s *Store) Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	if err := s.failure("Scan", prefix); err != nil {
		return err
	}
	return s.Store.Scan(ctx, prefix, fn)
}
