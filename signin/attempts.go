package signin

import (
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/session"
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
	// names are what was typed, as each way counts it. Nothing in them comes from
	// the accounts that there are.
	names   []string
	address string

	// browser is set where this browser knows the password that the account has:
	// then its own failures count, and no stranger's. account is what it knows it as.
	browser, account string
}

func (who attempt) known() bool { return who.browser != "" }

// beginAttempt takes part in each count that an attempt falls under, as
// [attemptlimit.Limiter.Begin] says.
func beginAttempt(l AttemptLimits, counts *attemptlimit.Limiter, now time.Time, who attempt) (done func(now time.Time, failed bool), wait time.Duration) {
	network := attemptlimit.Network(who.address)
	address := attemptlimit.Limit{Key: "address " + network, N: l.PerAddress, Every: l.Every}
	if who.known() {
		// Strangers at its address cannot keep it out. Those who know as much can,
		// or an address could guess with as many cookies as it collected.
		address.CountsOnly = true
		return counts.Begin(now,
			attemptlimit.Limit{Key: "known at " + network, N: l.PerAddress, Every: l.Every},
			accountLimit(l, "known at "+network+" "+who.account), accountLimit(l, "browser "+who.browser+" "+who.account), address)
	}
	// The address comes first: one that has used up its attempts makes no more
	// buckets for names, by which it could push out those of others.
	limits := []attemptlimit.Limit{address}
	for _, name := range who.names {
		// Half for each, since an account has two names: its e-mail address is one.
		// A count of both would tell that they are of one account.
		limits = append(limits, attemptlimit.Limit{Key: "name " + name, N: max(l.PerAccount/2, 1), Every: l.Every})
	}
	return counts.Begin(now, limits...)
}

// countLate counts an attempt at an account once it is known whose it is, as
// [attemptlimit.Limiter.Made] says. The browser is empty for one that does not know the
// account.
func countLate(l AttemptLimits, counts *attemptlimit.Limiter, now time.Time, u session.User, browser string, failed bool) (wait time.Duration) {
	limit := accountLimit(l, "account "+u.Signin+" "+u.Subject)
	if browser != "" {
		limit = accountLimit(l, "browser "+browser+" "+knownAs(u))
	}
	return counts.Made(now, limit, failed)
}

func accountLimit(l AttemptLimits, key string) attemptlimit.Limit {
	return attemptlimit.Limit{Key: key, N: l.PerAccount, Every: l.Every}
}
