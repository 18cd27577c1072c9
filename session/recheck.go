package session

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

// An entry names what a cache holds: a session, or a site session.
type entry struct {
	key  Key
	site bool
}

// entries are the sessions that have live requests.
func (c *Cache) entries() []entry {
	keys := c.live.keys(func(*live) bool { return true })
	all := make([]entry, len(keys))
	for i, k := range keys {
		all[i].key = k
	}
	return all
}

// recheck reads an entry again. A session that is gone ends with its live
// requests; one that has some is extended if that is due. An error means that it
// could not be read, and is to be tried again. Nothing is read that has no live
// request, and was not used.
func (c *Cache) recheck(ctx context.Context, e entry, used bool) error {
	k := &e.key
	if e.site {
		return c.recheckSite(ctx, k)
	}
	owner := c.live.strictest(k)
	if owner == nil && !used {
		return nil
	}
	found, value, err := c.load(ctx, k)
	if errors.Is(err, ErrNone) {
		c.gone(k)
		return nil
	}
	if errors.Is(err, records.ErrVersion) {
		return nil // it is there, and this release cannot tell more
	}
	if err != nil || owner == nil {
		return err
	}
	now := c.now()
	if !owner.due(found, now) {
		c.live.touched(k, found)
		return nil
	}
	switch err := owner.extend(ctx, found, value, now); {
	case errors.Is(err, ErrNone):
		c.gone(k)
	case err != nil: // it was read all the same, as from a store that is full
		c.logger("session "+found.ID(), err)
		c.live.postpone(k, now+min(owner.terms.everyOf(found), retryExtend))
	default:
		c.live.touched(k, found)
	}
	return nil
}

func (c *Cache) recheckSite(ctx context.Context, k *Key) error {
	_, err := c.loadSite(ctx, k)
	if errors.Is(err, ErrNone) {
		c.sites.drop(k)
	}
	if answered(err) {
		return nil
	}
	return err
}

func (c *Cache) sweepUntil(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.sweep()
		}
	}
}

// sweep looks at the live requests: it ends those whose session is past its
// absolute end, or was unverified for longer than their grace, and sees that
// the others' sessions are extended.
func (c *Cache) sweep() {
	now := c.now()
	over := func(l *live) bool { return l.over(now) }
	for _, k := range c.live.keys(over) {
		c.live.endIf(&k, over)
	}
	c.rechecks.Unverified(func(e entry, since int64) {
		if !e.site {
			c.live.endIf(&e.key, func(l *live) bool { return !l.owner.terms.withinGrace(since, now) })
		}
	})
	for _, k := range c.live.keys(func(l *live) bool { return now >= l.touch }) {
		c.rechecks.Add(entry{key: k}, 0)
	}
}
