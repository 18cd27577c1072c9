package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

const (
	// extendTimeout bounds the extension of a session. retryExtend is the pause after
	// a failed extension.
	extendTimeout = 2 * time.Second
	retryExtend   = int64(time.Minute / time.Millisecond)
)

// Sessions is a [Cache] with a [Policy]: the view of one configuration. It is cheap
// to make and needs no closing. It is safe for concurrent use.
type Sessions struct {
	cache   *Cache
	terms   terms
	recheck atomic.Pointer[func(Key)] // nil: no function
}

// New returns the sessions of c with the policy p.
func New(c *Cache, p Policy) *Sessions { return &Sessions{cache: c, terms: p.terms()} }

// Format is the format of new records: see [Policy]. Without sessions it is the
// format that all releases read.
func (s *Sessions) Format() records.Format {
	if s == nil {
		return records.JSON
	}
	return s.terms.format
}

// PerUser is the number of sessions that a user may have: see [Policy].
func (s *Sessions) PerUser() int { return s.terms.perUser }

// Lifetime is the longest lifetime of a new session.
func (s *Sessions) Lifetime() time.Duration {
	return time.Duration(s.terms.lifetime) * time.Millisecond
}

// Check returns the SSO session whose token is in the cookie. The error is [ErrNone]
// if there is none. It wraps [storage.ErrUnavailable] if the store was needed and did
// not answer.
//
// A check counts as a use: it extends the idle time. A failed extension does not fail
// the check.
func (s *Sessions) Check(ctx context.Context, cookie string) (*Session, error) {
	t, ok := ParseToken(cookie)
	if !ok {
		return nil, ErrNone
	}
	k := t.Key()
	return s.check(ctx, &k)
}

// Lookup is [Sessions.Check] by the session's key.
func (s *Sessions) Lookup(ctx context.Context, k Key) (*Session, error) { return s.check(ctx, &k) }

func (s *Sessions) check(ctx context.Context, k *Key) (*Session, error) {
	now := s.cache.now()
	cached, ok := s.cache.sessions.GetIn(k[0], shortOf(k))
	if !ok || cached.Value.key != *k {
		return s.ask(ctx, *k, nil, 0, now)
	}
	if lost := cached.Lost(); lost != 0 {
		return s.ask(ctx, *k, cached.Value, s.terms.believed(lost, now), now)
	}
	if !s.terms.alive(cached.Value, now) {
		return nil, ErrNone
	}
	if s.due(cached.Value, now) {
		return s.extendUsed(ctx, cached.Value, nil, now)
	}
	return cached.Value, nil
}

// ask checks a session that is not in the cache, or that was read before the feed was
// interrupted. Such a session stays valid for the outage grace while the store does not
// answer.
func (s *Sessions) ask(ctx context.Context, k Key, known *Session, since, now int64) (*Session, error) {
	var found *Session
	var value []byte
	believed, err := s.cache.feed.Ask(ctx, entry{key: k}, since, func(ctx context.Context) (err error) {
		found, value, err = s.cache.load(ctx, &k)
		return err
	})
	if err != nil {
		return nil, err
	}
	if believed {
		found = known
	}
	if !s.terms.alive(found, now) {
		return nil, ErrNone
	}
	switch due := s.due(found, now); {
	case due && believed:
		found.attempted.Store(now) // it is used, but the store cannot record that
	case due:
		return s.extendUsed(ctx, found, value, now)
	}
	return found, nil
}

// due reports whether the session's last use has to be stored again.
func (s *Sessions) due(found *Session, now int64) bool {
	return now-found.seen.Load() >= max(s.terms.everyOf(found), 1)
}

// extendUsed extends a session that a request uses. Of concurrent requests one
// extends it, and the others go on; if it takes long, that request goes on, too. The
// only error is ErrNone, if the session has ended.
func (s *Sessions) extendUsed(ctx context.Context, found *Session, value []byte, now int64) (*Session, error) {
	last := found.attempted.Load()
	if last != 0 && now-last < min(s.terms.everyOf(found), retryExtend) {
		return found, nil
	}
	if !found.attempted.CompareAndSwap(last, now) || s.cache.feed.Silent() {
		return found, nil
	}
	done := make(chan error, 1)
	go func() {
		// The session was used, even if the client goes away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), extendTimeout)
		defer cancel()
		err := s.extend(ctx, found, value, now)
		switch {
		case errors.Is(err, ErrNone):
			s.cache.gone(&found.key)
		case err != nil:
			s.cache.logger("session "+found.ID(), err)
		}
		done <- err
	}()
	patience := time.NewTimer(s.cache.feed.Patience())
	defer patience.Stop()
	select {
	case err := <-done:
		if errors.Is(err, ErrNone) {
			return nil, ErrNone
		}
	case <-patience.C:
	}
	return found, nil
}

// extend stores the use of the session. value is the stored value, or nil to read it.
// The write is a compare-and-swap that never creates a value, so a session that ended
// meanwhile stays ended.
func (s *Sessions) extend(ctx context.Context, found *Session, value []byte, now int64) error {
	key := found.key.in(sessionPrefix)
	if value == nil {
		stored, ok, err := s.cache.store.Get(ctx, key)
		if err != nil {
			return unavailable("extending a session", err)
		}
		if !ok {
			return ErrNone
		}
		value = stored
	}
	r, err := decodeRecord(value)
	if err != nil {
		return err
	}
	if now-r.Seen < s.terms.every(r.kept()) {
		found.seen.Store(r.Seen)
		return nil
	}
	r.Seen, r.Idle = now, s.terms.idle
	tell := s.recheck.Load()
	if tell != nil && !r.Upstream.due(now) {
		tell = nil
	}
	if tell != nil {
		r.Upstream.Asked = now // so that no other node asks
	}
	lifetime := s.terms.stored(r, now)
	if lifetime <= 0 {
		return nil
	}
	next, err := r.encode()
	if err != nil {
		return err
	}
	swapped, err := s.cache.store.CompareAndSwap(ctx, key, value, next, lifetime)
	if err != nil {
		return unavailable("extending a session", err)
	}
	if swapped {
		found.seen.Store(now)
		s.keepAlong(ctx, found, r.Sites)
		if tell != nil {
			(*tell)(found.key)
		}
	}
	return nil
}

// keepAlong reads the records that belong to a session in use, so that the store does
// not evict them as unused. It also adds a session to the user's list if an old
// version began it without a list.
func (s *Sessions) keepAlong(ctx context.Context, found *Session, listed sites) {
	if _, err := s.relist(ctx, found); err != nil {
		s.cache.logger("sessions of the user of "+found.ID(), err)
	}
	if err := s.cache.readSites(ctx, &found.key, listed); err != nil {
		s.cache.logger("site sessions of "+found.ID(), err)
	}
}
