package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// heard is a store that counts what it is asked, and whose feed can be silent
// or interrupted.
type heard struct {
	storage.Store
	gets atomic.Int64
	mute atomic.Bool // the feed tells nothing

	hangs atomic.Bool  // no read is answered before its context ends
	asked atomic.Int64 // reads of requests, as their context says

	mu       sync.Mutex
	watchers []func(storage.Change)
	afterGet func(key string) // the value has been read, but not returned
}

// ofRequest is what the context of a request carries.
type ofRequest struct{}

func (h *heard) Get(ctx context.Context, key string) ([]byte, bool, error) {
	h.gets.Add(1)
	if ctx.Value(ofRequest{}) != nil {
		h.asked.Add(1)
	}
	for h.hangs.Load() {
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
	value, ok, err := h.Store.Get(ctx, key)
	h.mu.Lock()
	after := h.afterGet
	h.mu.Unlock()
	if after != nil {
		after(key)
	}
	return value, ok, err
}

func (h *heard) onGet(fn func(key string)) { h.mu.Lock(); h.afterGet = fn; h.mu.Unlock() }

func (h *heard) Watch(fn func(storage.Change)) (stop func()) {
	h.mu.Lock()
	h.watchers = append(h.watchers, fn)
	h.mu.Unlock()
	return h.Store.Watch(func(c storage.Change) {
		if !h.mute.Load() {
			fn(c)
		}
	})
}

// lose interrupts the feed.
func (h *heard) lose() {
	h.mu.Lock()
	watchers := h.watchers
	h.mu.Unlock()
	for _, fn := range watchers {
		fn(storage.Change{Lost: true})
	}
}

// remembering is a world that remembers the tokens it has verified.
func remembering(t testing.TB) (*world, *heard) {
	w := newWorld(t)
	h := &heard{Store: w.store.Store}
	w.store.Store = h
	w.restart()
	w.remember(session.Policy{}, oauth.TokenCacheOptions{})
	return w, h
}

// remember begins with an empty memory, under a policy of sessions.
func (w *world) remember(p session.Policy, o oauth.TokenCacheOptions) *oauth.TokenCache {
	o.Now = w.clock.Now
	sessions := session.NewCache(w.store, session.CacheOptions{Now: w.clock.Now, Patience: o.Patience})
	w.t.Cleanup(sessions.Close)
	w.Sessions = session.New(sessions, p)
	w.Grants = oauth.NewGrants(w.store, w.Sessions)
	c := oauth.NewTokenCache(w.store, o)
	w.t.Cleanup(c.Close)
	w.Verified = oauth.NewVerifiedTokens(c)
	return c
}

// offlineTokens are those of a grant with scope offline.
func (w *world) offlineTokens(in oauth.SignedIn) *oauth.Tokens {
	return w.openIDTokens(in, func(r *oauth.OpenIDRequest) { r.Scope = []string{"openid", "offline"} })
}

func (w *world) verified(token string) *oauth.Verified {
	w.t.Helper()
	v, refusal := w.VerifyAccess(w.t.Context(), token)
	if refusal != nil {
		w.t.Fatal(refusal)
	}
	return v
}

func (w *world) refused(token string, kind oauth.Kind) {
	w.t.Helper()
	_, refusal := w.VerifyAccess(w.t.Context(), token)
	wantKind(w.t, refusal, kind)
}

var errNotEnded = errors.New("the request goes on")

// waitEnded waits for the end of a request's context.
func waitEnded(ctx context.Context) error {
	select {
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, session.ErrEnded) {
			return fmt.Errorf("ended because of %w", cause)
		}
		return nil
	case <-time.After(20 * time.Second):
		return errNotEnded
	}
}

// until waits for what other goroutines bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in 20 seconds: %s", what)
		}
	}
}
