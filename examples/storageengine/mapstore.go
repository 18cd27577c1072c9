// Package mapstore is a storage engine outside caddy-sso: a map in this process. It passes
// the conformance suite storage/storagetest.
package mapstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule"
	"github.com/caddy-sso/caddy-sso/storage"
)

func init() {
	caddy.RegisterModule(new(Engine))
}

// Engine is the Caddy module `sso.storage.map`.
type Engine struct{}

// CaddyModule returns the Caddy module information.
func (*Engine) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.storage.map", New: func() caddy.Module { return new(Engine) }}
}

// Identity implements caddymodule.Engine.
func (*Engine) Identity() string { return "map" }

// Open implements caddymodule.Engine.
func (*Engine) Open(_ *zap.Logger, now func() time.Time) (storage.Store, error) { return New(now), nil }

// Shared implements caddymodule.Engine.
func (*Engine) Shared() bool { return false }

// UnmarshalCaddyfile sets up the engine from Caddyfile tokens. Syntax:
//
//	storage map
func (*Engine) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() || d.NextBlock(d.Nesting()) {
		return d.ArgErr()
	}
	return nil
}

// A Store keeps values in a map. It never evicts, so it may grow without limit.
type Store struct {
	now      func() time.Time
	identity string

	mu       sync.Mutex
	values   map[string]value
	watchers map[int]func(storage.Change)
	next     int
	closed   bool
}

type value struct {
	bytes   []byte
	expires time.Time
}

// New returns an empty store.
func New(now func() time.Time) *Store {
	return &Store{now: now, identity: rand.Text(), values: map[string]value{}, watchers: map[int]func(storage.Change){}}
}

// locked runs do with the lock, unless the call must fail. It notifies watchers of key
// afterwards if do returns true.
func (s *Store) locked(ctx context.Context, key string, do func() bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return storage.ErrClosed
	}
	if v, there := s.values[key]; there && !v.expires.After(s.now()) {
		delete(s.values, key)
	}
	changed := do()
	var watchers []func(storage.Change)
	if changed {
		for _, fn := range s.watchers {
			watchers = append(watchers, fn)
		}
	}
	s.mu.Unlock()
	for _, fn := range watchers {
		fn(storage.Change{Key: key})
	}
	return nil
}

// Get implements [storage.Store].
func (s *Store) Get(ctx context.Context, key string) (found []byte, ok bool, err error) {
	err = s.locked(ctx, key, func() bool {
		var v value
		v, ok = s.values[key]
		found = append([]byte{}, v.bytes...)
		return false
	})
	if !ok {
		found = nil
	}
	return found, ok, err
}

// Put implements [storage.Store].
func (s *Store) Put(ctx context.Context, key string, v []byte, lifetime time.Duration) error {
	if err := storage.CheckWrite(key, v, lifetime); err != nil {
		return err
	}
	return s.locked(ctx, key, func() bool {
		s.set(key, v, lifetime)
		return true
	})
}

// Pin implements [storage.Store]. This store never evicts.
func (s *Store) Pin(ctx context.Context, key string, v []byte, lifetime time.Duration) error {
	return s.Put(ctx, key, v, lifetime)
}

// Take implements [storage.Store].
func (s *Store) Take(ctx context.Context, key string) (taken []byte, ok bool, err error) {
	err = s.locked(ctx, key, func() bool {
		var v value
		if v, ok = s.values[key]; ok {
			taken = v.bytes
			delete(s.values, key)
		}
		return ok
	})
	return taken, ok, err
}

// CompareAndSwap implements [storage.Store].
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, next []byte, lifetime time.Duration) (swapped bool, err error) {
	if err := storage.CheckWrite(key, next, lifetime); err != nil {
		return false, err
	}
	err = s.locked(ctx, key, func() bool {
		v, there := s.values[key]
		if there != (old != nil) || !bytes.Equal(v.bytes, old) {
			return false
		}
		s.set(key, next, lifetime)
		swapped = true
		return true
	})
	return swapped, err
}

func (s *Store) set(key string, v []byte, lifetime time.Duration) {
	s.values[key] = value{append([]byte{}, v...), s.now().Add(lifetime)}
}

// Scan implements [storage.Store]. It copies the values first, so fn may use the store.
func (s *Store) Scan(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return storage.ErrClosed
	}
	found := map[string][]byte{}
	for key, v := range s.values {
		if strings.HasPrefix(key, prefix) && v.expires.After(s.now()) {
			found[key] = append([]byte{}, v.bytes...)
		}
	}
	s.mu.Unlock()
	for key, v := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(key, v); err != nil {
			return err
		}
	}
	return nil
}

// Watch implements [storage.Store].
func (s *Store) Watch(fn func(storage.Change)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.next
	s.next++
	s.watchers[id] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, id)
	}
}

// Identity implements [storage.Identified]. Each process has its own values, and so an
// identity of its own.
func (s *Store) Identity(string) string { return s.identity }

// AskIdentity implements [storage.Identified].
func (s *Store) AskIdentity(context.Context, string) (string, error) { return s.identity, nil }

// Close implements [storage.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.values = true, nil
	return nil
}

// Interface guards
var (
	_ caddymodule.Engine    = (*Engine)(nil)
	_ caddyfile.Unmarshaler = (*Engine)(nil)
	_ storage.Store         = (*Store)(nil)
	_ storage.Identified    = (*Store)(nil)
)
