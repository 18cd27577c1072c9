package oauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/recheck"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

const (
	defaultVerified = 65_536
	defaultPatience = 100 * time.Millisecond
)

// VerifiedOptions are what a [VerifiedCache] can be given. The zero value
// works.
type VerifiedOptions struct {
	// Capacity is about how many tokens, and again how many grants, are kept.
	// Default: 65 536. What does not fit is verified again.
	Capacity int

	// Patience is how long a request waits for the store to confirm what is
	// known in memory, before it goes on by that. Default: 100 milliseconds.
	Patience time.Duration

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A VerifiedCache is what of verified access tokens outlives a reload of the
// configuration: their claims, what is known of their grants, and the live
// requests tied to those. There is one for each store, whose feed of changes
// keeps it honest in the way of [session.Cache]:
//
//   - What was read of a grant enters it only if nothing was heard of that grant
//     since the read began, and goes with the next change of it.
//   - After an interrupted feed, grants are unverified: they are read again when
//     next used, and live requests that hang on them are looked at. While the
//     store does not answer, they are believed for the outage grace of sessions.
type VerifiedCache struct {
	now      func() time.Time
	patience time.Duration
	stored   *Grants

	tokens *table[[sha256.Size]byte, verifiedToken]
	grants *table[string, knownGrant]
	live   *liveGrants
	epoch  atomic.Pointer[epoch]
	views  atomic.Uint64

	rechecks  *recheck.Queue[unverifiedGrant]
	stopWatch func()
	stop      context.CancelFunc
	sweeper   sync.WaitGroup
}

// An epoch is a time in which the feed was not interrupted.
type epoch struct{ lost atomic.Int64 } // when it ended, in milliseconds since 1970; 0: it goes on

// A verifiedToken is what a token says, and under which configuration and which
// keys its signature was checked.
type verifiedToken struct {
	claims *Claims
	view   uint64
	keys   uint64
}

// A knownGrant is what was read of a grant.
type knownGrant struct {
	ended bool

	// offline says that the grant was looked for among those with scope
	// offline, and user whose it is, nil where it is not among them.
	offline bool
	user    *session.User

	signedIn int64 // of an offline grant, in Unix seconds: when its user signed in

	offlineAccess bool // its client calls the scope offline_access

	// outlived is set once the grant has outlived its session, which cannot
	// come back.
	outlived atomic.Bool

	epoch *epoch
}

// over says that nothing can make the grant's tokens count again.
func (g *knownGrant) over() bool { return g.ended || g.offline && g.user == nil }

// offline says that the token's grant may outlive its session.
func (c *Claims) offline() bool { return slices.Contains(c.Scopes, "offline") }

// For says whether a token is meant for a client: one of its audiences is.
func (v *Verified) For(c *Client) bool {
	return slices.ContainsFunc(v.Claims.Audience, func(aud string) bool {
		return slices.Contains(c.Audiences, aud) || len(c.Audiences) == 0 && aud == c.ID
	})
}

// ForItsClient says whether it is meant for the client itself that it was issued
// to: it has the audience of tokens that are asked for without one.
func (v *Verified) ForItsClient() bool {
	return slices.Contains(v.Claims.Audience, v.Client.defaultAudience())
}

// NewVerifiedCache returns a cache over store, which it does not close.
func NewVerifiedCache(store storage.Store, o VerifiedOptions) *VerifiedCache {
	if o.Capacity <= 0 {
		o.Capacity = defaultVerified
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &VerifiedCache{
		now: o.Now, patience: o.Patience,
		stored: NewGrants(store, nil),
		tokens: newTable[[sha256.Size]byte, verifiedToken](o.Capacity),
		grants: newTable[string, knownGrant](o.Capacity),
		live:   newLiveGrants(),
	}
	c.epoch.Store(new(epoch))
	c.rechecks = recheck.New(recheck.Options[unverifiedGrant]{Read: c.recheck, Live: c.liveKeys, Now: func() int64 { return c.now().UnixMilli() }})
	c.stopWatch = store.Watch(c.changed)
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.sweeper.Go(func() { c.sweepUntil(ctx) })
	return c
}

// Close stops the cache's watch and its background work. Requests that are
// attached go on, but the ends of their grants are no longer noticed.
func (c *VerifiedCache) Close() {
	c.stopWatch()
	c.stop()
	c.sweeper.Wait()
	c.rechecks.Close()
}

// Counts says what interruptions of the store came to, for requests with tokens
// that are known.
func (c *VerifiedCache) Counts() recheck.Counts { return c.rechecks.Counts() }

// changed hears what the store tells. It may run inside a write of the store,
// so it asks the store nothing, and waits for nobody who does.
func (c *VerifiedCache) changed(change storage.Change) {
	if change.Lost {
		c.lost()
		return
	}
	if id, ok := strings.CutPrefix(change.Key, endedPrefix); ok {
		c.grants.drop(id)
		c.live.end(id) // it is written for nothing else
		return
	}
	if id, ok := strings.CutPrefix(change.Key, grantPrefix); ok {
		c.grants.drop(id)
		if live, _ := c.live.has(id); live {
			c.rechecks.Add(unverifiedGrant{id: id}, c.now().UnixMilli())
		}
	}
}

// lost begins a new epoch: all that was read before is unverified.
func (c *VerifiedCache) lost() {
	now := c.now().UnixMilli()
	for { // of interruptions at once each ends an epoch: something may have been read in it
		over := c.epoch.Load()
		over.lost.CompareAndSwap(0, now)
		if c.epoch.CompareAndSwap(over, new(epoch)) {
			break
		}
	}
	c.rechecks.AddLive(now)
}

// read asks the store for a grant, and lets the answer into the cache if it
// may.
func (c *VerifiedCache) read(ctx context.Context, id string, offline bool) (*knownGrant, error) {
	generation, epoch := c.grants.generation(id), c.epoch.Load()
	g, err := c.stored.read(ctx, id, offline)
	if err != nil {
		return nil, err
	}
	g.epoch = epoch
	c.grants.fill(id, generation, g)
	return g, nil
}

// VerifiedTokens is a [VerifiedCache] as one configuration sees it: signatures
// that another configuration has checked are checked again, since its clients
// and keys may have been others. It is cheap to make and needs no closing. A
// nil one remembers nothing.
type VerifiedTokens struct {
	cache *VerifiedCache
	view  uint64
}

// NewVerifiedTokens returns the tokens of c for one configuration.
func NewVerifiedTokens(c *VerifiedCache) *VerifiedTokens {
	return &VerifiedTokens{cache: c, view: c.views.Add(1)}
}

// claims returns what a token says whose signature was checked before, with the
// keys of this version.
func (t *VerifiedTokens) claims(sum [sha256.Size]byte, version uint64) (*Claims, bool) {
	if t == nil {
		return nil, false
	}
	known, ok := t.cache.tokens.get(sum)
	if !ok || known.view != t.view || known.keys != version {
		return nil, false
	}
	return known.claims, true
}

// remember keeps what a token says. version is that of the keys before its
// signature was checked.
func (t *VerifiedTokens) remember(sum [sha256.Size]byte, version uint64, c *Claims) {
	if t != nil {
		t.cache.tokens.put(sum, &verifiedToken{claims: c, view: t.view, keys: version})
	}
}

// grant returns what is known of a grant.
func (s *Server) grant(ctx context.Context, id string, offline bool) (*knownGrant, error) {
	if s.Verified == nil {
		return s.Grants.read(ctx, id, offline)
	}
	c := s.Verified.cache
	known, ok := c.grants.get(id)
	if !ok || offline && !known.offline {
		return c.read(ctx, id, offline)
	}
	lost := known.epoch.lost.Load()
	if lost == 0 || known.over() {
		return known, nil
	}
	if !s.Sessions.WithinGrace(time.UnixMilli(lost)) {
		return c.read(ctx, id, offline)
	}
	if c.rechecks.Unneeded(unverifiedGrant{id, known.offline}, lost) {
		return known, nil
	}
	bounded, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	found, err := c.read(bounded, id, offline)
	if err == nil || errors.Is(err, records.ErrVersion) || ctx.Err() != nil {
		return found, err
	}
	c.rechecks.Unanswered(unverifiedGrant{id, known.offline}, lost, err)
	return known, nil
}

// read asks the store for a grant.
func (g *Grants) read(ctx context.Context, id string, offline bool) (*knownGrant, error) {
	known := &knownGrant{offline: offline}
	var err error
	if known.ended, err = g.hasEnded(ctx, id); err != nil || known.ended || !offline {
		return known, err
	}
	stored, err := g.offline(ctx, id)
	if stored != nil {
		user := stored.User // and no more of it stays in memory
		known.user, known.signedIn, known.offlineAccess = &user, stored.AuthTime, stored.OfflineAccess
	}
	return known, err
}
