package oauth

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

// Attach ties a request to the token that it came with: the returned context
// ends, with cause [session.ErrEnded], when the token expires or its grant ends,
// here or on another node. Without scope offline it ends with the session, too,
// which it keeps from idling out.
//
// The caller must call release when the request is over.
func (s *Server) Attach(ctx context.Context, v *Verified) (attached context.Context, release func()) {
	attached, cancel := context.WithCancelCause(ctx)
	left := time.Unix(v.Claims.Expires, 0).Sub(s.Now())
	expiry := time.AfterFunc(left, func() { cancel(session.ErrEnded) })
	release = func() {
		expiry.Stop()
		cancel(nil)
	}
	if s.Verified != nil {
		release = s.Verified.attach(v, s.Sessions, cancel, release)
	}
	if v.Claims.Grant == "" || v.Claims.offline() {
		return attached, release
	}
	ended := release
	attached, detach := s.Sessions.Attach(attached, v.Session)
	return attached, func() {
		detach()
		ended()
	}
}

// CloseRequests ends the live requests of users that match, as
// [session.Sessions.CloseRequests] does, and those that hang on a grant alone.
func (s *Server) CloseRequests(match func(session.User) bool) {
	s.Sessions.CloseRequests(match)
	if s.Verified == nil {
		return
	}
	live := s.Verified.cache.live
	for _, id := range live.grants() {
		live.endIf(id, func(l *liveGrant) bool { return match(l.user) })
	}
}

// CloseBearers ends all live requests that came with a token: one of the keys that
// signed them counts no more. Who has a token that still does comes again with it.
func (c *VerifiedCache) CloseBearers() {
	for _, id := range append(c.live.grants(), "") {
		c.live.end(id)
	}
}

// attach makes cancel known for the grant of a token.
func (t *VerifiedTokens) attach(v *Verified, sessions *session.Sessions, cancel context.CancelCauseFunc, release func()) func() {
	c, id := t.cache, v.Claims.Grant
	l := &liveGrant{sessions: sessions, user: v.User, offline: v.Claims.offline(), cancel: cancel}
	c.live.add(id, l)
	detach := func() {
		c.live.remove(id, l)
		release()
	}
	if id == "" {
		return detach // a client's own token hangs on no grant
	}

	// What ended between the check and now has ended unheard. Whatever ends
	// from here on finds the request among the live ones.
	known, ok := c.grants.get(id)
	switch {
	case !ok:
		c.rechecks.Add(unverifiedGrant{id: id}, c.now().UnixMilli())
	case known.over():
		c.live.end(id)
	default:
		if lost := known.epoch.lost.Load(); lost != 0 {
			c.rechecks.Add(unverifiedGrant{id: id}, lost)
		}
	}
	return detach
}

// A liveGrant is a request under way that hangs on a grant.
type liveGrant struct {
	sessions *session.Sessions // under the policy that it came with
	user     session.User
	offline  bool
	cancel   context.CancelCauseFunc
	at       int // its place among those of its grant; -1: it has ended
}

// liveGrants knows all live requests by grant. It has nothing to do with the
// LRU, so eviction loses none.
type liveGrants struct {
	seed   maphash.Seed
	shards [tableShards]liveShard
}

type liveShard struct {
	mu      sync.Mutex
	byGrant map[string][]*liveGrant
	_       [48]byte // keeps neighbours off this cache line
}

func newLiveGrants() *liveGrants {
	r := &liveGrants{seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].byGrant = make(map[string][]*liveGrant)
	}
	return r
}

func (r *liveGrants) shard(id string) *liveShard {
	return &r.shards[maphash.String(r.seed, id)%tableShards]
}

func (r *liveGrants) add(id string, l *liveGrant) {
	sh := r.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l.at = len(sh.byGrant[id])
	sh.byGrant[id] = append(sh.byGrant[id], l)
}

// remove takes a request out, unless its grant's end has done so already.
func (r *liveGrants) remove(id string, l *liveGrant) {
	sh := r.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if l.at >= 0 {
		sh.unlink(id, l)
	}
}

// unlink takes l, which must be among those of its grant, out.
func (sh *liveShard) unlink(id string, l *liveGrant) {
	all := sh.byGrant[id]
	last := len(all) - 1
	all[l.at] = all[last]
	all[l.at].at = l.at
	all[last] = nil
	l.at = -1
	if last == 0 {
		delete(sh.byGrant, id)
		return
	}
	sh.byGrant[id] = all[:last]
}

// has says whether a grant has live requests, and whether one of them has a
// token with scope offline.
func (r *liveGrants) has(id string) (any, offline bool) {
	sh := r.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	all := sh.byGrant[id]
	return len(all) > 0, slices.ContainsFunc(all, func(l *liveGrant) bool { return l.offline })
}

// grants returns those that have live requests, but for those of clients' own
// tokens, which hang on none.
func (r *liveGrants) grants() []string {
	var ids []string
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		for id := range sh.byGrant {
			if id != "" {
				ids = append(ids, id)
			}
		}
		sh.mu.Unlock()
	}
	return ids
}

// end ends all requests of a grant.
func (r *liveGrants) end(id string) { r.endIf(id, func(*liveGrant) bool { return true }) }

// endIf ends the requests of a grant that match.
func (r *liveGrants) endIf(id string, match func(*liveGrant) bool) {
	var over []*liveGrant
	sh := r.shard(id)
	sh.mu.Lock()
	for _, l := range slices.Clone(sh.byGrant[id]) {
		if match(l) {
			over = append(over, l)
			sh.unlink(id, l)
		}
	}
	sh.mu.Unlock()
	for _, l := range over {
		l.cancel(session.ErrEnded)
	}
}
