// Package attemptlimit counts what may fail so often and no oftener: guesses at
// passwords and secrets. What may be done so often and no oftener is counted as
// if it had failed.
package attemptlimit

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// MaxKeys bounds the memory that strangers can fill. The key used longest ago
// goes first.
const MaxKeys = 100_000

// Limiter are the failures of many keys. They outlive a reload, so that reloading
// forgives nobody.
type Limiter struct {
	mu      sync.Mutex
	buckets *simplelru.LRU[string, *bucket]
}

// A Limit is how many failures are allowed for what a key names. They come back
// evenly: of 10 every 15 minutes, one more every 90 seconds.
type Limit struct {
	Key   string
	N     int
	Every time.Duration

	// CountsOnly is for a limit that an attempt counts for and is not refused by.
	CountsOnly bool
}

// A bucket holds the failures that are left. It is kept as long as some are
// used up or an attempt is under way.
type bucket struct {
	key     string
	limiter *rate.Limiter
	trying  int // attempts under way, each of which may fail
}

// New returns a count of nothing.
func New() *Limiter {
	buckets, err := simplelru.NewLRU[string, *bucket](MaxKeys, nil)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Limiter{buckets: buckets}
}

// Begin takes part in several counts with one attempt. Either done is set, which
// has to be told at time now whether the attempt failed, or wait says how long
// no other may begin. The first limit that is reached keeps the attempt out of
// the others, which it makes no buckets for.
func (c *Limiter) Begin(now time.Time, limits ...Limit) (done func(now time.Time, failed bool), wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	buckets := make([]*bucket, 0, len(limits))
	for _, l := range limits {
		b := c.bucket(now, l)
		if wait := b.wait(now); wait > 0 && !l.CountsOnly {
			return nil, wait
		}
		buckets = append(buckets, b)
	}
	for _, b := range buckets {
		b.trying++
		c.buckets.Add(b.key, b)
	}
	return func(now time.Time, failed bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, b := range buckets {
			b.trying--
			if failed {
				b.limiter.AllowN(now, 1)
			}
			c.settle(now, b)
		}
	}, 0
}

// Made counts an attempt whose outcome is known already. The wait is how long no
// other may be made, and then this one does not count either: its outcome is to
// be told to nobody.
func (c *Limiter) Made(now time.Time, l Limit, failed bool) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bucket(now, l)
	if wait := b.wait(now); wait > 0 {
		return wait
	}
	if failed {
		b.limiter.AllowN(now, 1)
	}
	c.settle(now, b)
	return 0
}

// Len is for how many keys failures are remembered.
func (c *Limiter) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buckets.Len()
}

// settle forgets a bucket that is full, so that only failures, each of which
// takes the work of a comparison, can push out those of others.
func (c *Limiter) settle(now time.Time, b *bucket) {
	kept, there := c.buckets.Peek(b.key)
	full := b.trying == 0 && b.limiter.TokensAt(now) >= float64(b.limiter.Burst())
	switch {
	case full && kept == b:
		c.buckets.Remove(b.key)
	case !full && !there: // pushed out meanwhile
		c.buckets.Add(b.key, b)
	}
}

// bucket returns the bucket of a limit, or a full one, which is not kept yet.
func (c *Limiter) bucket(now time.Time, l Limit) *bucket {
	refill := rate.Every(l.Every / time.Duration(l.N))
	if b, ok := c.buckets.Get(l.Key); ok {
		if b.limiter.Limit() != refill || b.limiter.Burst() != l.N {
			b.limiter.SetLimitAt(now, refill)
			b.limiter.SetBurstAt(now, l.N)
		}
		return b
	}
	return &bucket{key: l.Key, limiter: rate.NewLimiter(refill, l.N)}
}

// wait is how long it takes until one more attempt may fail.
func (b *bucket) wait(now time.Time) time.Duration {
	missing := float64(b.trying+1) - b.limiter.TokensAt(now)
	if missing < 1e-6 { // of a failure: they come back in fractions
		return 0
	}
	return max(time.Duration(missing/float64(b.limiter.Limit())*float64(time.Second)), 1)
}

// Network is what one host can change its address within: an IPv6 /64.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
