package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// BeginSite stores a session for the client's site that lives and dies with
// sso. Beyond 64 of them the oldest ends. The transaction is the caller's: [Sessions.SiteTransaction] gives it
// back.
func (s *Sessions) BeginSite(ctx context.Context, sso *Session, client, transaction string) (Token, error) {
	if client == "" {
		return Token{}, errors.New("beginning a site session: no client")
	}
	if err := ctx.Err(); err != nil {
		return Token{}, fmt.Errorf("beginning a site session: %w", err)
	}
	// Not the idle time: it is the SSO session that idles, and that may be
	// kept from it by requests to other sites.
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

// CheckSite returns the SSO session behind the client's site cookie. Errors
// are those of [Sessions.Check]; the cookie of another client's site is
// [ErrNone]. It too is a use of the SSO session.
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

// dropSite removes a site session whose SSO session is not stored any more: nothing
// will ever open with it again, so it need not wait for its stored lifetime. Should
// this fail, it does.
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

// SiteTransaction returns the transaction that the site session began with. It
// does not look at the SSO session.
func (s *Sessions) SiteTransaction(ctx context.Context, cookie, client string) (string, bool) {
	found, err := s.site(ctx, cookie, client)
	if err != nil {
		return "", false
	}
	return found.transaction, true
}

// EndSite ends the site session of the cookie, and only that: its SSO session
// and the requests under way go on. Ending what is not there is no error.
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

// site returns a site session under the same rules as those of sessions.
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
