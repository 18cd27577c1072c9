package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

const (
	// extendTimeout bounds how long the extension of a session takes, and
	// retryExtend is how soon after a failure another one tries.
	extendTimeout = 2 * time.Second
	retryExtend   = int64(time.Minute / time.Millisecond)
)

// Sessions is a [Cache] under a [Policy]: what one configuration sees. It is
// cheap to make and needs no closing.
type Sessions struct {
	cache   *Cache
	terms   terms
	recheck atomic.Pointer[func(Key)] // nil: nobody is told
}

// New returns the sessions of c under p.
func New(c *Cache, p Policy) *Sessions { return &Sessions{cache: c, terms: p.terms()} }

// Format is that of records which begin: see [Policy]. Without sessions it is that
// of all releases.
func (s *Sessions) Format() records.Format {
	if s == nil {
		return records.JSON
	}
	return s.terms.format
}

// PerUser is how many sessions a user may have: see [Policy].
func (s *Sessions) PerUser() int { return s.terms.perUser }

// Lifetime is how long a session that begins now lives at most.
func (s *Sessions) Lifetime() time.Duration {
	return time.Duration(s.terms.lifetime) * time.Millisecond
}

// Check returns the SSO session whose token is in the cookie. The error is
// [ErrNone] where there is none, and wraps [storage.ErrUnavailable] where the
// store would have to be asked and did not answer.
//
// A check is a use: it extends the session's idle time. An extension that
// fails does not fail the check.
func (s *Sessions) Check(ctx context.Context, cookie string) (*Session, error) {
	t, ok := ParseToken(cookie)
	if !ok {
		return nil, ErrNone
	}
	k := t.Key()
	return s.check(ctx, &k)
}

// Lookup is [Sessions.Check] for callers that hold the session's key.
func (s *Sessions) Lookup(ctx context.Context, k Key) (*Session, error) { return s.check(ctx, &k) }

func (s *Sessions) check(ctx context.Context, k *Key) (*Session, error) {
	now := s.cache.now()
	cached, ok := s.cache.sessions.get(k)
	if !ok || cached.value.key != *k {
		bounded, cancel := s.cache.impatient(ctx)
		defer cancel()
		found, err := s.read(bounded, k, now)
		if bounded == ctx { // else the store may have had too little time
			s.cache.rechecks.Noticed(ctx, err, entry{}, now)
		}
		return found, err
	}
	if cached.epoch != s.cache.epoch.Load() {
		return s.reverify(ctx, k, cached, now)
	}
	if !s.terms.alive(cached.value, now) {
		return nil, ErrNone
	}
	if s.due(cached.value, now) {
		return s.extendUsed(ctx, cached.value, nil, now)
	}
	return cached.value, nil
}

// impatient bounds how long a request waits for a store that did not answer when
// it was last asked. Another one is left its own time: the context is the same.
func (c *Cache) impatient(ctx context.Context) (context.Context, context.CancelFunc) {
	if !c.rechecks.Silent() {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.patience)
}

// read checks a session that is not in the cache.
func (s *Sessions) read(ctx context.Context, k *Key, now int64) (*Session, error) {
	found, value, err := s.cache.load(ctx, k)
	if errors.Is(err, ErrNone) {
		s.cache.live.end(k)
	}
	if err != nil {
		return nil, err
	}
	if !s.terms.alive(found, now) {
		return nil, ErrNone
	}
	if s.due(found, now) {
		return s.extendUsed(ctx, found, value, now)
	}
	return found, nil
}

// reverify checks a session that was read before the feed was interrupted. It
// is believed for the outage grace while the store does not answer. Once that
// was noticed, no request waits for the store: it is asked in the background,
// until it answers.
func (s *Sessions) reverify(ctx context.Context, k *Key, cached held[Session], now int64) (*Session, error) {
	lost := s.cache.lostAt(cached.epoch)
	inGrace := s.terms.withinGrace(lost, now)
	if !inGrace || !s.cache.rechecks.Unneeded(entry{key: *k}, lost) {
		bounded, cancel := context.WithTimeout(ctx, s.cache.patience)
		defer cancel()
		found, err := s.read(bounded, k, now)
		if errors.Is(err, ErrNone) {
			s.cache.sessions.drop(k)
		}
		if answered(err) || !inGrace || ctx.Err() != nil {
			return found, err
		}
		s.cache.rechecks.Unanswered(entry{key: *k}, lost, err)
	}
	if !s.terms.alive(cached.value, now) {
		return nil, ErrNone
	}
	if s.due(cached.value, now) {
		cached.value.attempted.Store(now) // it is used, and nobody can write that down
	}
	return cached.value, nil
}

// due says whether the session's last use is to be written down again.
func (s *Sessions) due(found *Session, now int64) bool {
	return now-found.seen.Load() >= max(s.terms.everyOf(found), 1)
}

// extendUsed extends a session because a request uses it. Of concurrent
// requests one tries, and the others go on; where it takes long, that one goes
// on, too. The only error is ErrNone, when the session turns out to be gone.
func (s *Sessions) extendUsed(ctx context.Context, found *Session, value []byte, now int64) (*Session, error) {
	last := found.attempted.Load()
	if last != 0 && now-last < min(s.terms.everyOf(found), retryExtend) {
		return found, nil
	}
	if !found.attempted.CompareAndSwap(last, now) || s.cache.rechecks.Silent() {
		return found, nil
	}
	done := make(chan error, 1)
	go func() {
		// A client that goes away has still used its session.
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
	patience := time.NewTimer(s.cache.patience)
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

// extend writes down that the session is in use. The value is what is stored,
// or nil to read it. The write is a compare-and-swap that never creates, so
// what was ended meanwhile stays ended.
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
		r.Upstream.Asked = now // and so no other node asks
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

// keepAlong keeps what hangs on a session that is in use from being taken for
// unused by the store. It also lists a session that is on no list, as one that
// a version without lists began.
func (s *Sessions) keepAlong(ctx context.Context, found *Session, listed sites) {
	if _, err := s.relist(ctx, found); err != nil {
		s.cache.logger("sessions of the user of "+found.ID(), err)
	}
	if err := s.cache.readSites(ctx, &found.key, listed); err != nil {
		s.cache.logger("site sessions of "+found.ID(), err)
	}
}
