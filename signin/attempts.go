package signin

import (
	"time"

	"github.com/caddy-sso/caddy-sso/attempts"
)

// AttemptLimits bound how often a password may be tried. A bucket refills
// evenly: of 10 every 15 minutes, one more every 90 seconds.
type AttemptLimits struct {
	PerAccount int           // failures for one account; default 10
	PerAddress int           // failures from one address; default 100
	Every      time.Duration // default 15 minutes
}

// An attempt is who tries to sign in.
type attempt struct {
	account string
	address string

	// browser is set where this browser signed in to this account before: then
	// its own failures count, and no stranger's.
	browser string
}

// begin takes part in each count that an attempt falls under, as
// [attempts.Counts.Begin] says.
func (l AttemptLimits) begin(counts *attempts.Counts, now time.Time, who attempt) (done func(now time.Time, failed bool), wait time.Duration) {
	if who.browser != "" {
		return counts.Begin(now, l.of(who))
	}
	// The address comes first: one that has used up its attempts makes no more
	// buckets for accounts, by which it could push out those of others.
	return counts.Begin(now, attempts.Limit{Key: "address " + attempts.Network(who.address), N: l.PerAddress, Every: l.Every}, l.of(who))
}

// late counts an attempt at an account that was not known before it was made, as
// [attempts.Counts.Made] says.
func (l AttemptLimits) late(counts *attempts.Counts, now time.Time, who attempt, failed bool) (wait time.Duration) {
	return counts.Made(now, l.of(who), failed)
}

// of is the limit of the account.
func (l AttemptLimits) of(who attempt) attempts.Limit {
	key := "account " + who.account
	if who.browser != "" {
		key = "browser " + who.browser + " " + who.account
	}
	return attempts.Limit{Key: key, N: l.PerAccount, Every: l.Every}
}
