package session

// Sweep does now what the cache does every second.
func (c *Cache) Sweep() { c.sweep() }

// Live returns how many sessions have live requests.
func (c *Cache) Live() int { return len(c.live.keys(func(*live) bool { return true })) }

// Settled says whether all live requests are known to be what they should be.
func (c *Cache) Settled() bool { return c.rechecks.Idle() }
