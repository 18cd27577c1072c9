package session

// Sweep does now what the cache does every second.
func (c *Cache) Sweep() { c.sweep() }

// Live returns how many sessions have live requests.
func (c *Cache) Live() int { return len(c.live.keys(func(*live) bool { return true })) }
