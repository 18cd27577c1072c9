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
// first: their keys, one after the other. All are as long as that of the session.
type sites []byte

func (l sites) keys(size int) []Key {
	all := entries(l, size)
	keys := make([]Key, 0, len(all))
	for _, entry := range all {
		if k, ok := keyOf(entry); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// with adds a site session, and returns those that are too many.
func (l sites) with(k Key) (longer sites, dropped []Key) {
	added := k.bytes()
	longer = slices.Concat(l, added)
	if excess := len(longer)/len(added) - maxSites; excess > 0 {
		dropped = longer[:excess*len(added)].keys(len(added))
		longer = longer[excess*len(added):]
	}
	return longer, dropped
}

// enlistSite puts a site session on the list of its SSO session, and ends the
// oldest beyond maxSites. It comes before the site session itself is stored, so
// that none is ever left off the list.
func (s *Sessions) enlistSite(ctx context.Context, sso *Key, k Key, lifetime time.Duration) error {
	var dropped []Key
	var err error
	if sso.short() {
		var lives bool
		lives, err = s.change(ctx, sso, func(r *record) bool {
			r.Sites, dropped = r.Sites.with(k)
			return true
		})
		if err == nil && !lives {
			err = ErrNone
		}
	} else {
		err = storage.Update(ctx, s.cache.store, sitesOf(sso), lifetime, func(stored []byte) ([]byte, bool, error) {
			var longer sites
			longer, dropped = sites(stored).with(k)
			return longer, true, nil
		})
	}
	if err != nil {
		return err
	}
	s.cache.dropSites(ctx, dropped)
	return nil
}

// sitesOf is the store's key of the list of a session of format 1.
func sitesOf(sso *Key) string { return sitesPrefix + sso.Whole() }

// readSites reads the site sessions of an SSO session that is in use. They are
// never written again, so a store that drops what was not used for longest
// would take those for unused that are known here, and so never read. Listed are
// those in the session's own record.
func (c *Cache) readSites(ctx context.Context, sso *Key, listed sites) error {
	if !sso.short() {
		list, _, err := c.store.Get(ctx, sitesOf(sso))
		if err != nil {
			return fmt.Errorf("reading site sessions: %w", err)
		}
		listed = list
	}
	for _, k := range listed.keys(len(sso.bytes())) {
		if _, _, err := c.store.Get(ctx, k.in(sitePrefix)); err != nil {
			return fmt.Errorf("reading site sessions: %w", err)
		}
	}
	return nil
}

// endSites removes the site sessions of an SSO session that has ended. They
// open nothing any more, so what cannot be removed now waits for its stored
// lifetime.
func (c *Cache) endSites(ctx context.Context, sso *Key, listed sites) {
	if !sso.short() {
		list, _, err := c.store.Take(ctx, sitesOf(sso))
		if err != nil {
			c.logger("site sessions of "+sso.ID(), err)
			return
		}
		listed = list
	}
	c.dropSites(ctx, listed.keys(len(sso.bytes())))
}

func (c *Cache) dropSites(ctx context.Context, keys []Key) {
	for _, k := range keys {
		c.sites.Drop(shortOf(&k))
		if _, _, err := c.store.Take(ctx, k.in(sitePrefix)); err != nil {
			c.logger("site session "+k.ID(), err)
			return
		}
	}
}
