// Package attemptlimit limits failed attempts, such as guesses at passwords and
// secrets. It also limits how often something may be done at all: each time counts as
// a failure.
package attemptlimit

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// MaxKeys bounds the memory that unauthenticated clients can fill. When full, the
// least recently used key is evicted.
const MaxKeys = 100_000

// A Limiter counts the failures of many keys. Keep it over a reload, so that a reload
// resets no count.
type Limiter struct {
	mu      sync.Mutex
	buckets *simplelru.LRU[string, *bucket]
}

// A Limit is how many failures a key may have. It refills evenly: with 10 every 15
// minutes, one more failure is allowed every 90 seconds.
type Limit struct {
	Key   string
	N     int
	Every time.Duration

	// CountsOnly counts attempts, but refuses none.
	CountsOnly bool
}

// A bucket holds the failures that are still allowed. It is kept while it is not
// full, or an attempt is running.
type bucket struct {
	key     string
	limiter *rate.Limiter
	trying  int // attempts that are running, and may fail
}

// New returns an empty Limiter.
func New() *Limiter {
	buckets, err := simplelru.NewLRU[string, *bucket](MaxKeys, nil)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Limiter{buckets: buckets}
}

// Begin begins an attempt that counts for several limits. It returns either done,
// which the caller must call with the outcome, or wait, the time until the next
// attempt may begin. An attempt that one limit refuses counts for no other limit.
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

// Made counts an attempt whose outcome is known already. If wait is not zero, the
// attempt is refused, and the caller must not reveal its outcome.
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

// Len is the number of keys with failures.
func (c *Limiter) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buckets.Len()
}

// settle removes a full bucket. So only failures, each of which costs a comparison,
// can evict the failures of other keys.
func (c *Limiter) settle(now time.Time, b *bucket) {
	kept, there := c.buckets.Peek(b.key)
	full := b.trying == 0 && b.limiter.TokensAt(now) >= float64(b.limiter.Burst())
	switch {
	case full && kept == b:
		c.buckets.Remove(b.key)
	case !full && !there: // evicted meanwhile
		c.buckets.Add(b.key, b)
	}
}

// bucket returns the bucket of a limit, or a new full one, which is not stored yet.
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

// wait is the time until one more failure is allowed.
func (b *bucket) wait(now time.Time) time.Duration {
	missing := float64(b.trying+1) - b.limiter.TokensAt(now)
	if missing < 1e-6 { // of a failure, since buckets refill in fractions
		return 0
	}
	return max(time.Duration(missing/float64(b.limiter.Limit())*float64(time.Second)), 1)
}

// Network is the network within which one host can choose its address: an IPv6 /64, or the IPv4 address itself.
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
