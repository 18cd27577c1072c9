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
	buckets *simplelru.LRU[string, *bucket]
}

// A bucket holds the failures that are left. It is kept as long as some are
// used up or an attempt is under way.
type bucket struct {
	key     string
	limiter *rate.Limiter
	trying  int // attempts under way, each of which may fail
}

// NewAttempts returns a count of nothing.
func NewAttempts() *Attempts {
	buckets, err := simplelru.NewLRU[string, *bucket](maxBuckets, nil)
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

// begin takes part in each count that an attempt falls under. Either done is
// set, which has to be told at time now whether the attempt failed, or wait
// says how long no other may begin.
func (a *Attempts) begin(now time.Time, l AttemptLimits, who attempt) (done func(now time.Time, failed bool), wait time.Duration) {
	// The address comes first: one that has used up its attempts makes no more
	// buckets for accounts, by which it could push out those of others.
	counts := []count{{"address " + network(who.address), l.PerAddress}, who.count(l)}
	if who.browser != "" {
		counts = counts[1:]
	}
	return a.enter(now, l.Every, counts)
}

// late counts an attempt at an account that was not known before it was made.
// The wait is how long no other may be made there, and then this one does not
// count either: its outcome is to be told to nobody.
func (a *Attempts) late(now time.Time, l AttemptLimits, who attempt, failed bool) (wait time.Duration) {
	done, wait := a.enter(now, l.Every, []count{who.count(l)})
	if done != nil {
		done(now, failed)
	}
	return wait
}

// A count is how many failures are allowed for what a key names.
type count struct {
	key string
	n   int
}

// count is that of the account.
func (who attempt) count(l AttemptLimits) count {
	if who.browser != "" {
		return count{"browser " + who.browser + " " + who.account, l.PerAccount}
	}
	return count{"account " + who.account, l.PerAccount}
}

// enter takes part in counts, as begin says.
func (a *Attempts) enter(now time.Time, every time.Duration, counts []count) (done func(now time.Time, failed bool), wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	buckets := make([]*bucket, 0, len(counts))
	for _, c := range counts {
		b := a.bucket(now, c.key, c.n, every)
		if wait := b.wait(now); wait > 0 {
			return nil, wait
		}
		buckets = append(buckets, b)
	}
	for _, b := range buckets {
		b.trying++
		a.buckets.Add(b.key, b)
	}
	return func(now time.Time, failed bool) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, b := range buckets {
			b.trying--
			if failed {
				b.limiter.AllowN(now, 1)
			}
			a.settle(now, b)
		}
	}, 0
}

// settle forgets a bucket that is full, so that only failures, each of which
// takes the work of a comparison, can push out those of others.
func (a *Attempts) settle(now time.Time, b *bucket) {
	kept, there := a.buckets.Peek(b.key)
	full := b.trying == 0 && b.limiter.TokensAt(now) >= float64(b.limiter.Burst())
	switch {
	case full && kept == b:
		a.buckets.Remove(b.key)
	case !full && !there: // pushed out meanwhile
		a.buckets.Add(b.key, b)
	}
}

// bucket returns the bucket of a key, or a full one, which is not kept yet.
func (a *Attempts) bucket(now time.Time, key string, n int, every time.Duration) *bucket {
	refill := rate.Every(every / time.Duration(n))
	if b, ok := a.buckets.Get(key); ok {
		if b.limiter.Limit() != refill || b.limiter.Burst() != n {
			b.limiter.SetLimitAt(now, refill)
			b.limiter.SetBurstAt(now, n)
		}
		return b
	}
	return &bucket{key: key, limiter: rate.NewLimiter(refill, n)}
}

// wait is how long it takes until one more attempt may fail.
func (b *bucket) wait(now time.Time) time.Duration {
	missing := float64(b.trying+1) - b.limiter.TokensAt(now)
	if missing < 1e-6 { // of a failure: they come back in fractions
		return 0
	}
	return max(time.Duration(missing/float64(b.limiter.Limit())*float64(time.Second)), 1)
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
