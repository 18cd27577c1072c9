package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/storage"
)

// BeginSite stores a session for the client's site, which ends with sso. If sso has
// more than 64 site sessions, the oldest ends. [Sessions.SiteTransaction] returns the
// transaction, which is a value of the caller.
func (s *Sessions) BeginSite(ctx context.Context, sso *Session, client, transaction string) (Token, error) {
	if client == "" {
		return Token{}, errors.New("beginning a site session: no client")
	}
	if err := ctx.Err(); err != nil {
		return Token{}, fmt.Errorf("beginning a site session: %w", err)
	}
	// The lifetime, not the idle time: requests to other sites keep the SSO session
	// from being idle.
	rest := s.terms.end(sso.begun, sso.expires) - s.cache.now()
	if rest <= 0 {
		return Token{}, fmt.Errorf("beginning a site session: %w", ErrNone)
	}
	t, err := newToken(s.cache.random, sso.key.tokenSize())
	if err != nil {
		return Token{}, fmt.Errorf("beginning a site session: %w", err)
	}
	value, err := encodeSite(&sso.key, client, transaction)
	if err != nil {
		return Token{}, err
	}
	lifetime := time.Duration(rest) * time.Millisecond
	if err := s.enlistSite(ctx, &sso.key, t.Key(), lifetime); err != nil {
		return Token{}, fmt.Errorf("listing a site session: %w", err)
	}
	if err := s.cache.store.Put(ctx, t.Key().in(sitePrefix), value, lifetime); err != nil {
		return Token{}, fmt.Errorf("beginning a site session: %w", err)
	}
	return t, nil
}

// CheckSite returns the SSO session of the client's site cookie. Its errors are those
// of [Sessions.Check]. The cookie of another client's site is [ErrNone]. It counts as
// a use of the SSO session.
func (s *Sessions) CheckSite(ctx context.Context, cookie, client string) (*Session, error) {
	found, err := s.site(ctx, cookie, client)
	if err != nil {
		return nil, err
	}
	sso, err := s.check(ctx, &found.sso)
	if errors.Is(err, ErrNone) {
		s.cache.dropSite(ctx, found)
	}
	return sso, err
}

// dropSite removes a site session whose SSO session is gone, since it can never be
// valid again. If this fails, the record expires by itself.
func (c *Cache) dropSite(ctx context.Context, found *site) {
	_, stored, err := c.store.Get(ctx, found.sso.in(sessionPrefix))
	if err == nil && !stored {
		_, _, err = c.store.Take(ctx, found.key.in(sitePrefix))
		c.sites.Drop(shortOf(&found.key))
	}
	if err != nil {
		c.logger("site session "+found.key.ID(), err)
	}
}

// SiteTransaction returns the transaction that the site session began with. It does
// not check the SSO session.
func (s *Sessions) SiteTransaction(ctx context.Context, cookie, client string) (string, bool) {
	found, err := s.site(ctx, cookie, client)
	if err != nil {
		return "", false
	}
	return found.transaction, true
}

// EndSite ends the site session of the cookie. Its SSO session and running requests
// go on. Ending a site session that does not exist is no error.
func (s *Sessions) EndSite(ctx context.Context, cookie string) error {
	t, ok := ParseToken(cookie)
	if !ok {
		return nil
	}
	k := t.Key()
	_, _, err := s.cache.take(ctx, k.in(sitePrefix))
	s.cache.sites.Drop(shortOf(&k))
	if err != nil {
		return fmt.Errorf("ending a site session: %w", err)
	}
	return nil
}

func (s *Sessions) site(ctx context.Context, cookie, client string) (*site, error) {
	t, ok := ParseToken(cookie)
	if !ok {
		return nil, ErrNone
	}
	k := t.Key()
	found, err := s.cache.site(ctx, &k, s.terms)
	if err != nil {
		return nil, err
	}
	if found.client != client {
		return nil, ErrNone
	}
	return found, nil
}

// site returns a site session, with the same rules as for sessions.
func (c *Cache) site(ctx context.Context, k *Key, t terms) (*site, error) {
	cached, ok := c.sites.GetIn(k[0], shortOf(k))
	if !ok || cached.Value.key != *k {
		return c.askSite(ctx, *k, nil, 0)
	}
	if lost := cached.Lost(); lost != 0 {
		return c.askSite(ctx, *k, cached.Value, t.believed(lost, c.now()))
	}
	return cached.Value, nil
}

func (c *Cache) askSite(ctx context.Context, k Key, known *site, since int64) (found *site, err error) {
	believed, err := c.feed.Ask(ctx, entry{k, true}, since, func(ctx context.Context) (err error) {
		found, err = c.loadSite(ctx, &k)
		return err
	})
	if believed {
		return known, nil
	}
	return found, err
}

func (c *Cache) loadSite(ctx context.Context, k *Key) (*site, error) {
	found, err := c.sites.Load(shortOf(k), func() (*site, error) {
		value, ok, err := c.store.Get(ctx, k.in(sitePrefix))
		if err != nil {
			return nil, unavailable("reading a site session", err)
		}
		if !ok {
			return nil, ErrNone
		}
		found, err := decodeSite(*k, value)
		if err != nil {
			c.logger("site session "+k.ID(), err)
			return nil, unread(err)
		}
		return found, nil
	})
	if errors.Is(err, ErrNone) {
		c.sites.Forget(shortOf(k))
	}
	return found, err
}

// maxSites is the number of site sessions of an SSO session. A browser has one for
// each site. A browser without cookies would begin a new one with every page, and
// fill the store.
const maxSites = 64

// sites is the stored list of an SSO session's site sessions: their keys, the oldest
// first. All keys are as long as that of the session.
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

// with adds a site session, and returns the oldest ones beyond maxSites.
func (l sites) with(k Key) (longer sites, dropped []Key) {
	added := k.bytes()
	longer = slices.Concat(l, added)
	if excess := len(longer)/len(added) - maxSites; excess > 0 {
		dropped = longer[:excess*len(added)].keys(len(added))
		longer = longer[excess*len(added):]
	}
	return longer, dropped
}

// enlistSite adds a site session to the list of its SSO session, and ends the oldest
// beyond maxSites. This happens before the site session itself is stored, so that the
// list is always complete.
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

// sitesOf is the storage key of the list of a session of format 1.
func sitesOf(sso *Key) string { return sitesPrefix + sso.Whole() }

// readSites reads the site sessions of an SSO session in use. They are never written
// again, and this process may have them in memory. A store that evicts the least
// recently used values would evict them as unused. listed are the site sessions in
// the session's own record.
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

// endSites removes the site sessions of an SSO session that has ended. They are not
// valid any more, so a record that cannot be removed now may expire by itself.
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
