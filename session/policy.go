package session

import (
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

const (
	DefaultIdle        = 24 * time.Hour
	DefaultLifetime    = 30 * 24 * time.Hour
	DefaultOutageGrace = 5 * time.Minute
)

// slack is how much longer than the idle time a record is stored, so that
// nodes whose clocks differ do not lose it early.
const slack = time.Minute

const (
	DefaultPerUser = 64

	// MostPerUser is the highest bound on a user's sessions: their list is
	// written anew with every sign-in.
	MostPerUser = 10_000
)

// A Policy says how long sessions live, and how many a user may have. Two configurations may look at the
// same sessions under different policies.
type Policy struct {
	// Idle is how long a session lives without a request. It is written down at
	// most once per tenth of it, so a session may end up to a tenth sooner.
	// Default (also for less than zero): 24 hours.
	Idle time.Duration

	// Lifetime is how long a session lives at most, whatever is done with it. A
	// shorter one also holds for sessions that have begun; a longer one only
	// for new ones. Default (also for less than zero): 30 days.
	Lifetime time.Duration

	// OutageGrace is how long sessions that were known are served after the
	// store was lost and does not answer. Default: 5 minutes. Less than zero
	// means not at all.
	OutageGrace time.Duration

	// PerUser is how many live sessions a user may have; the oldest ends when
	// another begins. At most [MostPerUser]. Default (also for less than zero):
	// 64.
	PerUser int

	// Format is that of sessions that begin. What is stored of those of
	// [records.CBOR] takes about half the room; every node has to be of a release
	// that reads them. Default: [records.JSON].
	Format records.Format
}

// terms is a Policy with its defaults, in milliseconds.
type terms struct {
	idle, tenth, lifetime, grace int64
	perUser                      int
	format                       records.Format
	tokenSize                    int
}

func (p Policy) terms() terms {
	if p.Idle <= 0 {
		p.Idle = DefaultIdle
	}
	if p.Lifetime <= 0 {
		p.Lifetime = DefaultLifetime
	}
	if p.OutageGrace == 0 {
		p.OutageGrace = DefaultOutageGrace
	}
	if p.OutageGrace < 0 {
		p.OutageGrace = -time.Millisecond // a nanosecond less than nothing would round to 0
	}
	if p.PerUser <= 0 {
		p.PerUser = DefaultPerUser
	}
	tokenSize := len(Token{})
	if p.Format == records.CBOR {
		tokenSize = shortToken
	} else {
		p.Format = records.JSON
	}
	idle := max(p.Idle.Milliseconds(), 1)
	return terms{
		idle:     idle,
		tenth:    idle / 10,
		lifetime: max(p.Lifetime.Milliseconds(), 1),
		grace:    p.OutageGrace.Milliseconds(),
		perUser:  min(p.PerUser, MostPerUser),

		format:    p.Format,
		tokenSize: tokenSize,
	}
}

// end returns when a session is over whatever is done with it.
func (t terms) end(begun, expires int64) int64 { return min(expires, begun+t.lifetime) }

// alive says whether the session is neither too old nor idle. A use that could not
// be written down, as in an outage, is one all the same.
func (t terms) alive(s *Session, now int64) bool {
	used := max(s.seen.Load(), s.attempted.Load())
	return now < t.end(s.begun, s.expires) && now < used+t.idle
}

// every returns how often the use of a session is to be written down that is
// stored for kept without a use. Another policy may have written it, with a
// shorter idle time: the store would forget the session before a tenth of ours.
func (t terms) every(kept int64) int64 {
	if kept <= 0 {
		return t.tenth
	}
	return min(t.tenth, kept/10)
}

// everyOf is every for a session as it was read.
func (t terms) everyOf(s *Session) int64 { return t.every(int64(s.kept) * 1000) }

// stored returns how long a record written now is to be kept: over an outage, too,
// in which nobody can write down that the session is in use.
func (t terms) stored(r record, now int64) time.Duration {
	rest := time.Duration(t.end(r.Begun, r.Expires)-now) * time.Millisecond
	return min(time.Duration(t.idle+max(t.grace, 0))*time.Millisecond+slack, rest)
}

// WithinGrace says whether what was known before the store's feed was
// interrupted then may still be served while the store does not answer.
func (s *Sessions) WithinGrace(lost time.Time) bool {
	return s.terms.withinGrace(lost.UnixMilli(), s.cache.now())
}

// withinGrace says whether what was lost then may still be served.
func (t terms) withinGrace(lost, now int64) bool { return t.grace >= 0 && now-lost <= t.grace }
