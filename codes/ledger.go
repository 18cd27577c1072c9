package codes

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// sweepInterval is how often a full ledger may look through all of its codes.
const sweepInterval = time.Second

// errRepeated can only come from a broken source of randomness.
var errRepeated = errors.New("the random source repeated itself")

// entry is one live code in the ledger.
type entry struct {
	session [32]byte
	subject string
	expires time.Time
	record  *Record // never changed; nil where a store has it
}

// ledger knows the live codes, oldest first, and how many each session and
// each user has. It does not lock.
type ledger struct {
	// live never evicts by itself: its bound is out of reach, and add refuses
	// before the real one is passed.
	live *simplelru.LRU[codeID, entry]

	sessions tally[[32]byte]
	subjects tally[string]

	latest time.Time // the latest expiry ever given out
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

// tally holds the expiry of each live code of a session, or of a user. Who has
// none has no entry.
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

// full returns a [*FullError] that says when the first of the codes of k
// expires.
func (t tally[K]) full(k K, now time.Time) *FullError {
	soonest := slices.MinFunc(t[k], time.Time.Compare)
	return &FullError{RetryAfter: max(soonest.Sub(now), time.Second), PerSession: true}
}

// add enters a code, or returns a [*FullError].
func (g *ledger) add(id codeID, e entry, l Limits, now time.Time) error {
	g.prune(now)
	full := g.full(e, l, now)
	if full != nil && g.latest.After(e.expires) && now.Sub(g.swept) >= sweepInterval {
		// The lifetime was shortened, so expired codes may stand behind live
		// ones, where prune does not see them.
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

// full says which limit, if any, leaves no room for another code like e.
// It returns a plain pointer, nil for none.
func (g *ledger) full(e entry, l Limits, now time.Time) *FullError {
	if len(g.sessions[e.session]) >= l.PerSession {
		return g.sessions.full(e.session, now)
	}
	// Divided, since the limit times four may be out of an int's reach.
	if len(g.subjects[e.subject])/sessionsPerSubject >= l.PerSession {
		return g.subjects.full(e.subject, now)
	}
	if g.live.Len() >= l.Capacity {
		_, oldest, _ := g.live.GetOldest()
		return &FullError{RetryAfter: max(oldest.expires.Sub(now), time.Second)}
	}
	return nil
}

// prune removes expired codes from the oldest end. Each code is removed once,
// so it costs an Issue what one removal costs, on average.
func (g *ledger) prune(now time.Time) {
	for {
		id, oldest, ok := g.live.GetOldest()
		if !ok || now.Before(oldest.expires) {
			return
		}
		g.remove(id)
	}
}

// sweep removes expired codes wherever they stand.
func (g *ledger) sweep(now time.Time) {
	g.swept = now
	for _, id := range g.live.Keys() {
		if e, ok := g.live.Peek(id); ok && !now.Before(e.expires) {
			g.remove(id)
		}
	}
}

// lookup returns the live code under id. It leaves the order alone.
func (g *ledger) lookup(id codeID, now time.Time) (entry, bool) {
	e, ok := g.live.Peek(id)
	return e, ok && now.Before(e.expires)
}

// remove takes out a code, if it is there.
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
