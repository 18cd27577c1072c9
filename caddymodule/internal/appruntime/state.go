package appruntime

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/wallclock"
	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/endings"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// openStates are the stores that outlive a reload, by the identity of the store. The
// policy is not part of the identity: it may change with every reload.
var openStates = caddy.NewUsagePool()

// poolMutex is held during a call of openStates: otherwise a failed constructor would
// also fail for a concurrent request.
var poolMutex sync.Mutex

// A State is one store and its data in memory.
type State struct {
	Clock     *sharedclock.Clock
	stop      context.CancelFunc // ends what compares the clocks
	Store     storage.Store
	Engine    storage.Store // what store is over, or the same
	Cache     *session.Cache
	Verified  *oauth.TokenCache
	Searches  *oauth.Searches
	Codes     *codes.Codes
	Attempts  *attemptlimit.Limiter
	Secrets   *attemptlimit.Limiter // counted apart, since a wrong secret costs next to nothing
	Allowance *attemptlimit.Limiter // sessions, codes and grants of users; counted apart, too
	Keys      keys.Memory           // if the store keeps the signing keys, too
}

// Destruct implements caddy.Destructor.
func (s *State) Destruct() error {
	s.stop()
	s.Searches.Close()
	s.Verified.Close()
	s.Cache.Close()
	if err := s.Store.Close(); err != nil {
		return fmt.Errorf("closing the storage: %w", err)
	}
	return nil
}

// Options select the store, and have its settings.
type Options struct {
	Identity string // of the store
	Open     func(now func() time.Time) (storage.Store, error)
	Shared   bool // other nodes use the store, too

	// CachedSessions is how many sessions are kept in memory.
	CachedSessions int
}

func newState(o Options) (*State, error) {
	clk := sharedclock.New(sharedclock.Options{Wall: wallclock.Now, Report: new(clockReports).report})
	store, err := o.Open(clk.Now)
	if err != nil {
		return nil, err
	}
	engine := store
	if o.Shared {
		store = endings.New(store, endings.Options{
			Removed:      append(session.Prefixes(), oauth.GrantPrefix),
			Marks:        []string{oauth.EndedPrefix},
			MarkLifetime: oauth.EndedFor,
			Now:          clk.Now,
			Forgotten:    logForgotten,
		})
	}
	s := &State{
		Clock:     clk,
		Store:     store,
		Engine:    engine,
		Cache:     session.NewCache(store, session.CacheOptions{Capacity: o.CachedSessions, Now: clk.Now, Logger: logStored(new(logthrottle.ByKind))}),
		Verified:  oauth.NewTokenCache(store, oauth.TokenCacheOptions{Now: clk.Now}),
		Searches:  oauth.NewSearches(func() *zap.Logger { return caddy.Log().Named("sso") }),
		Attempts:  attemptlimit.New(),
		Secrets:   attemptlimit.New(),
		Allowance: attemptlimit.New(),
	}
	if o.Shared {
		s.Codes = codes.NewStored(store, codes.Options{Now: clk.Now})
	} else {
		s.Codes = codes.NewMemory(codes.Options{Now: clk.Now})
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go clk.Run(ctx, s.storeTime())
	return s, nil
}

// logStored logs an error about a record of the store. It outlives the configuration,
// so the configuration's log may be closed.
func logStored(failures *logthrottle.ByKind) func(what string, err error) {
	return func(what string, err error) {
		failures.Logger(caddy.Log().Named("sso")).Warn("storage", zap.String("record", what), zap.Error(err))
	}
}

// logForgotten logs that the store came back without the last endings of sessions and
// grants.
func logForgotten(endings int) {
	caddy.Log().Named("sso").Warn("the store has lost the end of some sessions and grants, as in a failover to a replica that was behind; they were ended again",
		zap.Int("endings", endings))
}
