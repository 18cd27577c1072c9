// Package limits bounds sign-ins: how many attempts at an account and from an address may
// fail, how many wait for their turn, and how many passwords are compared at a time.
//
// A browser in which the account signed in before has limits of its own. So the
// failures of other clients do not lock the owner out.
package limits

import (
	"time"

	"github.com/caddy-sso/caddy-sso/internal/attemptlimit"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// An Attempt is one try to sign in by a password, as it is counted.
type Attempt struct {
	// Names are the typed name, as each method counts it. They do not depend on the
	// existing accounts.
	Names   []string
	Address string

	// Browser is set if this browser knows the account's current password: then its
	// own failures count, and not those of other clients. Account is the browser's
	// key of the account.
	Browser, Account string
}

func (who Attempt) Known() bool { return who.Browser != "" }

// Begin counts an attempt under each of its limits: see [attemptlimit.Limiter.Begin].
func Begin(l signin.AttemptLimits, counts *attemptlimit.Limiter, now time.Time, who Attempt) (done func(now time.Time, failed bool), wait time.Duration) {
	network := attemptlimit.Network(who.Address)
	address := attemptlimit.Limit{Key: "address " + network, N: l.PerAddress, Every: l.Every}
	if who.Known() {
		// Other clients at its address cannot keep it out. Other browsers that know an
		// account can, or an address could guess with as many cookies as it collected.
		address.CountsOnly = true
		return counts.Begin(now,
			attemptlimit.Limit{Key: "known at " + network, N: l.PerAddress, Every: l.Every},
			accountLimit(l, "known at "+network+" "+who.Account), accountLimit(l, "browser "+who.Browser+" "+who.Account), address)
	}
	// The address comes first: an address without attempts left creates no more
	// buckets for names, which would push out those of others.
	limits := []attemptlimit.Limit{address}
	for _, name := range who.Names {
		// Half for each, because an account has two names: the user name and the
		// e-mail address. One count for both would reveal that they belong to one
		// account.
		limits = append(limits, attemptlimit.Limit{Key: "name " + name, N: max(l.PerAccount/2, 1), Every: l.Every})
	}
	return counts.Begin(now, limits...)
}

// Late counts an attempt for an account as soon as the account is known: see
// [attemptlimit.Limiter.Made]. The browser is empty if it does not know the account.
func Late(l signin.AttemptLimits, counts *attemptlimit.Limiter, now time.Time, u session.User, browser string, failed bool) (wait time.Duration) {
	limit := accountLimit(l, "account "+u.Signin+" "+u.Subject)
	if browser != "" {
		limit = accountLimit(l, "browser "+browser+" "+KnownAs(u))
	}
	return counts.Made(now, limit, failed)
}

func accountLimit(l signin.AttemptLimits, key string) attemptlimit.Limit {
	return attemptlimit.Limit{Key: key, N: l.PerAccount, Every: l.Every}
}

// KnownAs returns what a browser remembers of a user whose password was right. It
// changes with the password.
func KnownAs(u session.User) string {
	return subjects.Derive("known", u.Signin+"\x00"+u.Subject+"\x00"+u.Mark)
}
