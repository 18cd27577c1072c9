package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// maxSites is how many site sessions an SSO session may have. A browser keeps
// one for each site; one that keeps no cookie would begin a new one with every
// page, and fill the store with them.
const maxSites = 64

// sites is the stored list of an SSO session's site sessions, the oldest
// first: their keys, one after the other.
type sites []byte

func (l sites) keys() []Key {
	all := entries(l, len(Key{}))
	keys := make([]Key, 0, len(all))
	for _, entry := range all {
		keys = append(keys, Key(entry))
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

// enlistSite puts a site session on the list of its SSO session, and ends the
// oldest beyond maxSites. It comes before the site session itself is stored, so
// that none is ever left off the list.
func (c *Cache) enlistSite(ctx context.Context, sso *Key, k Key, lifetime time.Duration) error {
	var dropped []Key
	err := storage.Update(ctx, c.store, sso.in(sitesPrefix), lifetime, func(stored []byte) ([]byte, bool, error) {
		var longer sites
		longer, dropped = sites(stored).with(k)
		return longer, true, nil
	})
	if err != nil {
		return fmt.Errorf("listing a site session: %w", err)
	}
	c.dropSites(ctx, dropped)
	return nil
}

// readSites reads the site sessions of an SSO session that is in use. They are
// never written again, so a store that drops what was not used for longest
// would take those for unused that are known here, and so never read.
func (c *Cache) readSites(ctx context.Context, sso *Key) error {
	list, _, err := c.store.Get(ctx, sso.in(sitesPrefix))
	if err != nil {
		return fmt.Errorf("reading site sessions: %w", err)
	}
	for _, k := range sites(list).keys() {
		if _, _, err := c.store.Get(ctx, k.in(sitePrefix)); err != nil {
			return fmt.Errorf("reading site sessions: %w", err)
		}
	}
	return nil
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
