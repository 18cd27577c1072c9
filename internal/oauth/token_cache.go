package oauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/feedcache"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

const defaultCachedTokens = 65_536

// TokenCacheOptions are what a [TokenCache] can be given. The zero value works.
type TokenCacheOptions struct {
	// Capacity is about how many tokens, and again how many grants, are kept.
	// Default: 65 536. What does not fit is verified again.
	Capacity int

	// Patience is how long a request waits for the store to confirm what is
	// known in memory, before it goes on by that. Default: 100 milliseconds.
	Patience time.Duration

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A TokenCache is what of verified access tokens outlives a reload of the
// configuration: their claims, what is known of their grants, and the requests
// that are attached to those. There is one for each store, whose feed of changes
// keeps it true: see [feedcache]. Unverified grants are believed for the outage grace
// of sessions.
type TokenCache struct {
	stored *Grants

	tokens *feedcache.Table[[sha256.Size]byte, verifiedToken]
	grants *feedcache.Table[string, knownGrant]
	feed   *feedcache.Feed[string, grantRequest]
	own    *feedcache.Requests[string, grantRequest] // with clients' own tokens, which hang on no grant
	views  atomic.Uint64
}

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

// NewTokenCache returns a cache over store, which it does not close.
func NewTokenCache(store storage.Store, o TokenCacheOptions) *TokenCache {
	if o.Capacity <= 0 {
		o.Capacity = defaultCachedTokens
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &TokenCache{stored: NewGrants(store, nil)}
	seed := maphash.MakeSeed()
	byGrant := func(id string) uint8 { return uint8(maphash.String(seed, id)) }
	c.feed = feedcache.New(feedcache.Options[string, grantRequest]{
		Patience:    o.Patience,
		Now:         o.Now,
		Shard:       byGrant,
		Changed:     c.changed,
		Recheck:     c.recheck,
		Answered:    func(err error) bool { return err == nil || errors.Is(err, records.ErrVersion) },
		WithinGrace: func(r *grantRequest, since int64) bool { return r.sessions.WithinGrace(time.UnixMilli(since)) },
		Ended:       session.ErrEnded,
	})
	c.own = feedcache.NewRequests[string, grantRequest](byGrant, session.ErrEnded)
	c.tokens = feedcache.NewTable[[sha256.Size]byte, verifiedToken](&c.feed.Epochs, o.Capacity, func(sum [sha256.Size]byte) uint8 { return sum[0] })
	c.grants = feedcache.NewTable[string, knownGrant](&c.feed.Epochs, o.Capacity, byGrant)
	c.feed.Follow(store)
	return c
}

// Close stops the cache's watch and its background work. Requests that are
// attached go on, but the ends of their grants are no longer noticed.
func (c *TokenCache) Close() { c.feed.Close() }

// Counts says what interruptions of the store came to, for requests with tokens
// that are known.
func (c *TokenCache) Counts() feedcache.Counts { return c.feed.Counts() }

// changed hears what the store tells.
func (c *TokenCache) changed(key string) {
	if id, ok := strings.CutPrefix(key, endedPrefix); ok {
		c.grants.Drop(id)
		c.feed.Requests.End(id) // it is written for nothing else
	} else if id, ok := strings.CutPrefix(key, grantPrefix); ok {
		c.grants.Drop(id)
		c.feed.Changed(id)
	}
}

// read asks the store for a grant, and lets the answer into the cache if it
// may.
func (c *TokenCache) read(ctx context.Context, id string, offline bool) (*knownGrant, error) {
	return c.grants.Load(id, func() (*knownGrant, error) { return c.stored.read(ctx, id, offline) })
}

// recheck reads a grant again, and ends its requests if it has ended. It looks for it
// among those with scope offline if a request, or what is known, needs that.
func (c *TokenCache) recheck(ctx context.Context, id string) error {
	known, ok := c.grants.Peek(id)
	offline := ok && known.Value.offline
	c.feed.Requests.Each(id, func(r *grantRequest) { offline = offline || r.offline })
	read, err := c.read(ctx, id, offline)
	if err == nil && read.over() {
		c.feed.Requests.End(id)
	}
	return err
}

// VerifiedTokens is a [TokenCache] as one configuration sees it: signatures
// that another configuration has checked are checked again, since its clients
// and keys may have been others. It is cheap to make and needs no closing. A
// nil one remembers nothing.
type VerifiedTokens struct {
	cache *TokenCache
	view  uint64
}

// NewVerifiedTokens returns the tokens of c for one configuration.
func NewVerifiedTokens(c *TokenCache) *VerifiedTokens {
	return &VerifiedTokens{cache: c, view: c.views.Add(1)}
}

// claims returns what a token says whose signature was checked before, with the
// keys of this version.
func (t *VerifiedTokens) claims(sum [sha256.Size]byte, version uint64) (*Claims, bool) {
	if t == nil {
		return nil, false
	}
	known, ok := t.cache.tokens.Get(sum)
	if !ok || known.Value.view != t.view || known.Value.keys != version {
		return nil, false
	}
	return known.Value.claims, true
}

// remember keeps what a token says. version is that of the keys before its
// signature was checked.
func (t *VerifiedTokens) remember(sum [sha256.Size]byte, version uint64, c *Claims) {
	if t != nil {
		t.cache.tokens.Put(sum, &verifiedToken{claims: c, view: t.view, keys: version})
	}
}

// grant returns what is known of a grant.
func (s *Server) grant(ctx context.Context, id string, offline bool) (*knownGrant, error) {
	if s.Verified == nil {
		return s.Grants.read(ctx, id, offline)
	}
	c, since := s.Verified.cache, int64(0)
	known, ok := c.grants.Get(id)
	if ok && (known.Value.offline || !offline) {
		lost := known.Lost()
		if lost == 0 || known.Value.over() {
			return known.Value, nil
		}
		if s.Sessions.WithinGrace(time.UnixMilli(lost)) {
			since = lost
		}
	}
	var found *knownGrant
	believed, err := c.feed.Ask(ctx, id, since, func(ctx context.Context) (err error) {
		found, err = c.read(ctx, id, offline)
		return err
	})
	if believed {
		return known.Value, nil
	}
	return found, err
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
