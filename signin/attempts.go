package signin

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// AttemptLimits bound how often a password may be tried. A bucket refills
// evenly: of 10 every 15 minutes, one more every 90 seconds.
type AttemptLimits struct {
	PerAccount int           // failures for one account; default 10
	PerAddress int           // failures from one address; default 100
	Every      time.Duration // default 15 minutes
}

// maxBuckets bounds the memory that strangers can fill. The bucket used longest
// ago goes first.
const maxBuckets = 100_000

// Attempts counts failed sign-ins. It outlives a reload, so that reloading
// forgives nobody.
type Attempts struct {
	mu      sync.Mutex
	buckets *simplelru.LRU[string, *rate.Limiter]
}

// NewAttempts returns a count of nothing.
func NewAttempts() *Attempts {
	buckets, err := simplelru.NewLRU[string, *rate.Limiter](maxBuckets, nil)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Attempts{buckets: buckets}
}

// An attempt is who tries to sign in.
type attempt struct {
	account string
	address string

	// browser is set where this browser signed in to this account before: then
	// its own failures count, and no stranger's.
	browser string
}

// reserve takes one attempt from each bucket that it counts in. Either undo is
// set, which gives it back when the sign-in succeeded, or wait says how long
// there is none left.
func (a *Attempts) reserve(now time.Time, l AttemptLimits, who attempt) (undo func(), wait time.Duration) {
	type bucket struct {
		key string
		n   int
	}
	counted := []bucket{{"account " + who.account, l.PerAccount}, {"address " + network(who.address), l.PerAddress}}
	if who.browser != "" {
		counted = []bucket{{"browser " + who.browser + " " + who.account, l.PerAccount}}
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	taken := make([]*rate.Reservation, 0, len(counted))
	for _, b := range counted {
		r := a.bucket(b.key, b.n, l.Every).ReserveN(now, 1)
		taken = append(taken, r)
		wait = max(wait, r.DelayFrom(now))
	}
	undo = func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, r := range taken {
			r.CancelAt(now)
		}
	}
	if wait > 0 {
		for _, r := range taken {
			r.CancelAt(now)
		}
		return nil, wait
	}
	return undo, 0
}

func (a *Attempts) bucket(key string, n int, every time.Duration) *rate.Limiter {
	refill := rate.Every(every / time.Duration(n))
	if b, ok := a.buckets.Get(key); ok {
		if b.Limit() != refill || b.Burst() != n {
			b.SetLimit(refill)
			b.SetBurst(n)
		}
		return b
	}
	b := rate.NewLimiter(refill, n)
	a.buckets.Add(key, b)
	return b
}

// network is what one host can change its address within: an IPv6 /64.
func network(address string) string {
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
