// Package oauthtest is an authorization server in memory, for tests: with a
// clock that stands still, a store that can be down, users who can be gone, and
// an audit log that can be read.
package oauthtest

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/faultystore"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/testclock"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

// Start is when the clock of a world begins.
var Start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A World is a server, and what there is around it.
type World struct {
	T      testing.TB
	Server *oauth.Server
	Clock  *testclock.Clock
	Store  *faultystore.Store
	People *People
	Audit  *observer.ObservedLogs
}

// New makes a world of clients at a time.
func New(t testing.TB, start time.Time, issuer string, clients []*oauth.Client) *World {
	t.Helper()
	registered, err := oauth.NewClients(clients)
	if err != nil {
		t.Fatal(err)
	}
	core, audit := observer.New(zapcore.DebugLevel)
	w := &World{T: t, Clock: testclock.New(start), People: new(People), Audit: audit}
	w.Store = faultystore.New(memory.New(memory.Options{Now: w.Clock.Now}))
	w.Server = &oauth.Server{
		Issuer:  issuer,
		Clients: registered,
		Codes:   codes.NewMemory(codes.Options{Now: w.Clock.Now}),
		Keys:    ring(),
		Secrets: attemptlimit.New(),
		Users:   w.People,
		Store:   w.Store,
		Audit:   oauth.NewAudit(zap.New(core)),
		Now:     w.Clock.Now,

		Allowance: attemptlimit.New(),
	}
	w.Restart()
	return w
}

// ring is shared, since an RSA key takes long to make. Its own clock stands
// still, whatever the tests do to theirs, so that keys do not rotate.
var ring = sync.OnceValue(func() *keys.Ring {
	return keys.NewRing(keystest.NewVault(), keys.Options{
		Now:        func() time.Time { return Start },
		Algorithms: []keys.Algorithm{keys.RS256, keys.ES256, keys.EdDSA},
	})
})

// Restart forgets which sessions are in memory.
func (w *World) Restart() {
	cache := session.NewCache(w.Store, session.CacheOptions{Now: w.Clock.Now})
	w.T.Cleanup(cache.Close)
	w.Server.Sessions = session.New(cache, session.Policy{})
	w.Server.Grants = oauth.NewGrants(w.Store, w.Server.Sessions)
}

// SignIn begins a session, and returns what its cookie holds.
func (w *World) SignIn(u session.User) (token string, in oauth.SignedIn) {
	w.T.Helper()
	opaque, s, err := w.Server.Sessions.Begin(w.T.Context(), session.SignIn{User: u})
	if err != nil {
		w.T.Fatal(err)
	}
	return opaque.Encode(), oauth.SignedIn{Session: s, User: u}
}

// URIs parses the addresses that a client registers.
func URIs[U any](t testing.TB, parse func(string) (U, error), raws ...string) []U {
	t.Helper()
	list := make([]U, 0, len(raws))
	for _, raw := range raws {
		u, err := parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	return list
}
