package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxSites is how many site sessions an SSO session may have. A browser keeps
// one for each site; one that keeps no cookie would begin a new one with every
// page, and fill the store with them.
const maxSites = 64

// enlistTries bounds the attempts to write the list of site sessions, which
// tabs that finish at the same moment write at the same time.
const enlistTries = 2 * maxSites

// sites is the stored list of an SSO session's site sessions, the oldest
// first: their keys, one after the other.
type sites []byte

func (l sites) keys() []Key {
	keys := make([]Key, 0, len(l)/len(Key{}))
	for chunk := range slices.Chunk(l, len(Key{})) {
		if len(chunk) == len(Key{}) {
			keys = append(keys, Key(chunk))
		}
	}
	return keys
}

// with adds a site session, and returns those that are too many.
func (l sites) with(k Key) (longer sites, dropped []Key) {
	longer = append(slices.Clone(l), k[:]...)
	if excess := len(longer)/len(k) - maxSites; excess > 0 {
		dropped = longer[:excess*len(k)].keys()
		longer = longer[excess*len(k):]
	}
	return longer, dropped
}

// enlist puts a site session on the list of its SSO session, and ends the
// oldest beyond maxSites. It comes before the site session itself is stored, so
// that none is ever left off the list.
func (c *Cache) enlist(ctx context.Context, sso *Key, k Key, lifetime time.Duration) error {
	list := sso.in(sitesPrefix)
	for range enlistTries {
		old, _, err := c.store.Get(ctx, list)
		if err != nil {
			return fmt.Errorf("listing a site session: %w", err)
		}
		next, dropped := sites(old).with(k)
		swapped, err := c.store.CompareAndSwap(ctx, list, old, next, lifetime)
		if err != nil {
			return fmt.Errorf("listing a site session: %w", err)
		}
		if swapped {
			c.dropSites(ctx, dropped)
			return nil
		}
	}
	return errors.New("listing a site session: too many begin at once")
}

// endSites removes the site sessions of an SSO session that has ended. They
// open nothing any more, so what cannot be removed now waits for its stored
// lifetime.
func (c *Cache) endSites(ctx context.Context, sso *Key) {
	list, ok, err := c.store.Take(ctx, sso.in(sitesPrefix))
	if err != nil {
		c.logger("site sessions of "+sso.ID(), err)
		return
	}
	if ok {
		c.dropSites(ctx, sites(list).keys())
	}
}

func (c *Cache) dropSites(ctx context.Context, keys []Key) {
	for _, k := range keys {
		c.sites.drop(&k)
		if _, _, err := c.store.Take(ctx, k.in(sitePrefix)); err != nil {
			c.logger("site session "+k.ID(), err)
			return
		}
	}
}
