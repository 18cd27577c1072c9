package codes

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// sweepInterval is the minimum time between two searches of a full ledger for expired
// codes.
const sweepInterval = time.Second

// errRepeated is only possible with a broken source of randomness.
var errRepeated = errors.New("the random source repeated itself")

// entry is a valid code in the ledger.
type entry struct {
	session [32]byte
	subject string
	expires time.Time
	record  *Record // immutable; nil if the store has it
}

// ledger has the valid codes, oldest first, and counts them per session and per user.
// It has no lock.
type ledger struct {
	// live must never evict a code, so its capacity is never reached: add checks the
	// real limit.
	live *simplelru.LRU[codeID, entry]

	sessions tally[[32]byte]
	subjects tally[string]

	latest time.Time // the latest expiry of any code so far
	swept  time.Time
}

func newLedger() *ledger {
	live, err := simplelru.NewLRU[codeID, entry](math.MaxInt, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &ledger{live: live, sessions: tally[[32]byte]{}, subjects: tally[string]{}}
}

// sessionsPerSubject is how many times the limit of a session one user may have, so
// that a user with many sessions does not fill the capacity.
const sessionsPerSubject = 4

// tally has the expiry of each valid code of a session or of a user. Without valid
// codes there is no entry.
type tally[K comparable] map[K][]time.Time

func (t tally[K]) add(k K, expires time.Time) { t[k] = append(t[k], expires) }

func (t tally[K]) remove(k K, expires time.Time) {
	own := t[k]
	if len(own) == 1 {
		delete(t, k)
		return
	}
	i := slices.IndexFunc(own, expires.Equal)
	t[k] = slices.Delete(own, i, i+1)
}

// full returns a [*FullError] with the time until the first code of k expires.
func (t tally[K]) full(k K, now time.Time) *FullError {
	soonest := slices.MinFunc(t[k], time.Time.Compare)
	return &FullError{RetryAfter: max(soonest.Sub(now), time.Second), PerSession: true}
}

// add adds a code, or returns a [*FullError].
func (g *ledger) add(id codeID, e entry, l Limits, now time.Time) error {
	g.prune(now)
	full := g.full(e, l, now)
	if full != nil && g.latest.After(e.expires) && now.Sub(g.swept) >= sweepInterval {
		// The lifetime was shortened: expired codes may be behind valid ones, where
		// prune does not find them.
		g.sweep(now)
		full = g.full(e, l, now)
	}
	if full != nil {
		return full
	}
	if g.live.Contains(id) {
		return errRepeated
	}
	g.live.Add(id, e)
	g.sessions.add(e.session, e.expires)
	if e.subject != "" {
		g.subjects.add(e.subject, e.expires)
	}
	if e.expires.After(g.latest) {
		g.latest = e.expires
	}
	return nil
}

// full returns the error of the limit that leaves no room for another code like e, or
// nil. Its type is a plain pointer, so that it can be compared with nil.
func (g *ledger) full(e entry, l Limits, now time.Time) *FullError {
	if len(g.sessions[e.session]) >= l.PerSession {
		return g.sessions.full(e.session, now)
	}
	// A division, since four times the limit may overflow an int.
	if len(g.subjects[e.subject])/sessionsPerSubject >= l.PerSession {
		return g.subjects.full(e.subject, now)
	}
	if g.live.Len() >= l.Capacity {
		_, oldest, _ := g.live.GetOldest()
		return &FullError{RetryAfter: max(oldest.expires.Sub(now), time.Second)}
	}
	return nil
}

// prune removes expired codes, beginning with the oldest. Each code is removed once, so
// on average an Issue pays for one removal.
func (g *ledger) prune(now time.Time) {
	for {
		id, oldest, ok := g.live.GetOldest()
		if !ok || now.Before(oldest.expires) {
			return
		}
		g.remove(id)
	}
}

// sweep removes expired codes anywhere in the order.
func (g *ledger) sweep(now time.Time) {
	g.swept = now
	for _, id := range g.live.Keys() {
		if e, ok := g.live.Peek(id); ok && !now.Before(e.expires) {
			g.remove(id)
		}
	}
}

// lookup returns the valid code under id. It does not change the order.
func (g *ledger) lookup(id codeID, now time.Time) (entry, bool) {
	e, ok := g.live.Peek(id)
	return e, ok && now.Before(e.expires)
}

// remove removes a code, if the ledger has it.
func (g *ledger) remove(id codeID) {
	e, ok := g.live.Peek(id)
	if !ok {
		return
	}
	g.live.Remove(id)
	g.sessions.remove(e.session, e.expires)
	if e.subject != "" {
		g.subjects.remove(e.subject, e.expires)
	}
}
