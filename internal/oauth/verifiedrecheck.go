package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

// sweepEvery is how often live requests are looked at whose grants wait for the
// store.
const sweepEvery = time.Second

// A unverifiedGrant names a grant that is to be read again.
type unverifiedGrant struct {
	id      string
	offline bool // it is looked for among those with scope offline, too
}

func (c *VerifiedCache) liveKeys() []unverifiedGrant {
	ids := c.live.grants()
	keys := make([]unverifiedGrant, len(ids))
	for i, id := range ids {
		keys[i].id = id
	}
	return keys
}

// recheck reads a grant, and ends its live requests if it has ended. Nothing is
// read that has no live request, and was not used. An error means that it is to
// be tried again.
func (c *VerifiedCache) recheck(ctx context.Context, key unverifiedGrant, used bool) error {
	live, offline := c.live.has(key.id)
	if !live && !used {
		return nil
	}
	known, err := c.read(ctx, key.id, offline || key.offline)
	if errors.Is(err, records.ErrVersion) {
		return nil // it is there, and this release cannot tell more
	}
	if err != nil {
		return err
	}
	if known.over() {
		c.live.end(key.id)
	}
	return nil
}

func (c *VerifiedCache) sweepUntil(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.endUnverified()
		}
	}
}

// endUnverified ends the requests that were unverified for longer than their
// grace, while the store does not answer.
func (c *VerifiedCache) endUnverified() {
	c.rechecks.Unverified(func(key unverifiedGrant, since int64) {
		c.live.endIf(key.id, func(l *liveGrant) bool { return !l.sessions.WithinGrace(time.UnixMilli(since)) })
	})
}
