package session

import (
	"context"
	"errors"
)

// Attach ties a request to its session: the returned context ends, with cause
// [ErrEnded], when the session does. It may have been signed out here or on
// another node, ended by an administrator, or come to its absolute end. An
// attached request keeps its session from idling out.
//
// The caller must call release when the request is over.
func (s *Sessions) Attach(ctx context.Context, sess *Session) (attached context.Context, release func()) {
	c, e := s.cache, entry{key: sess.key}
	attached, cancel := context.WithCancelCause(ctx)
	attachment := c.feed.Requests.Attach(e, request{s, sess, sess.seen.Load() + s.terms.everyOf(sess)}, cancel)
	if since := c.sessions.Since(shortOf(&sess.key)); since != 0 {
		c.feed.Recheck(e, since)
	}
	return attached, func() {
		attachment.Release()
		cancel(nil)
	}
}

// A request is attached to a session.
type request struct {
	owner   *Sessions // the policy it came with
	session *Session
	touch   int64 // when the session's use is to be written down again
}

// recheck reads an entry again, and extends a session that has requests, if that is
// due. The error is that of the read.
func (c *Cache) recheck(ctx context.Context, e entry) error {
	if e.site {
		_, err := c.loadSite(ctx, &e.key)
		return err
	}
	found, value, err := c.load(ctx, &e.key)
	owner := c.strictest(e)
	if err != nil || owner == nil {
		return err
	}
	now := c.now()
	if owner.due(found, now) {
		err = owner.extend(ctx, found, value, now)
	}
	if errors.Is(err, ErrNone) {
		c.gone(&e.key)
		return nil
	}
	retry := now + min(owner.terms.everyOf(found), retryExtend)
	c.feed.Requests.Each(e, func(r *request) {
		if r.touch = found.seen.Load() + r.owner.terms.everyOf(found); err != nil {
			r.touch = retry
		}
	})
	if err != nil { // it was read all the same, as from a store that is full
		c.logger("session "+found.ID(), err)
	}
	return nil
}

// strictest returns the policy with the shortest idle time among the requests of a
// session, or nil if it has none.
func (c *Cache) strictest(e entry) (owner *Sessions) {
	c.feed.Requests.Each(e, func(r *request) {
		if owner == nil || r.owner.terms.idle < owner.terms.idle {
			owner = r.owner
		}
	})
	return owner
}

// sweep ends the requests whose session is past its absolute end, and sees that
// the sessions of the others are extended.
func (c *Cache) sweep() {
	now := c.now()
	c.feed.Requests.EndAll(func(r *request) bool {
		return now >= r.owner.terms.end(r.session.begun, r.session.expires)
	})
	for _, e := range c.feed.Requests.Keys(func(r *request) bool { return now >= r.touch }) {
		c.feed.Recheck(e, 0)
	}
}
