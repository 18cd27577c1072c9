package session

import "github.com/caddy-sso/caddy-sso/internal/feedcache"

// Sweep does now what the cache does every second.
func (c *Cache) Sweep() { c.feed.Sweep() }

// Live returns how many sessions have live requests.
func (c *Cache) Live() int { return len(c.feed.Requests.Keys(feedcache.Any)) }

// Settled reports whether all live requests are known to be what they should be.
func (c *Cache) Settled() bool { return c.feed.Idle() }
