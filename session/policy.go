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

// slack is how much longer than the idle time a record is stored, so that differing
// clocks of nodes do not expire it early.
const slack = time.Minute

const (
	DefaultPerUser = 64

	// MostPerUser is the largest value of [Policy].PerUser: every sign-in writes the
	// whole list of the user's sessions.
	MostPerUser = 10_000
)

// A Policy sets how long sessions live, and how many a user may have. Two
// configurations may use the same sessions with different policies.
type Policy struct {
	// Idle is how long a session lives without a request. The last request is stored
	// at most once in a tenth of this time, so a session may end up to a tenth
	// earlier. Zero or less: 24 hours.
	Idle time.Duration

	// Lifetime is the longest lifetime of a session. A shorter value also holds for
	// existing sessions, a longer one only for new ones. Zero or less: 30 days.
	Lifetime time.Duration

	// OutageGrace is how long known sessions stay valid after the store stopped
	// answering. Zero: 5 minutes. Less than zero: not at all.
	OutageGrace time.Duration

	// PerUser is the number of live sessions that a user may have. The oldest ends
	// when one more begins. At most [MostPerUser]. Zero or less: 64.
	PerUser int

	// Format is the format of new sessions. Records of [records.CBOR] are about half
	// as large, but every node must run a release that reads them. Default:
	// [records.JSON].
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
		p.OutageGrace = -time.Millisecond // -1 ns would be rounded to 0
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

// end returns the absolute end of a session.
func (t terms) end(begun, expires int64) int64 { return min(expires, begun+t.lifetime) }

// alive reports whether a session is neither too old nor idle. A use counts even if
// it could not be stored, as in an outage.
func (t terms) alive(s *Session, now int64) bool {
	used := max(s.seen.Load(), s.attempted.Load())
	return now < t.end(s.begun, s.expires) && now < used+t.idle
}

// every returns how often to store the use of a session whose record is kept for kept
// without a use. Another policy with a shorter idle time may have written it. Then
// the store would drop the session before a tenth of our idle time.
func (t terms) every(kept int64) int64 {
	if kept <= 0 {
		return t.tenth
	}
	return min(t.tenth, kept/10)
}

// everyOf is every for a session.
func (t terms) everyOf(s *Session) int64 { return t.every(int64(s.kept) * 1000) }

// stored returns the lifetime of a record that is written now. It covers an outage,
// in which the use of the session cannot be stored.
func (t terms) stored(r record, now int64) time.Duration {
	rest := time.Duration(t.end(r.Begun, r.Expires)-now) * time.Millisecond
	return min(time.Duration(t.idle+max(t.grace, 0))*time.Millisecond+slack, rest)
}

// WithinGrace reports whether an entry that is unverified since the time lost may
// still be used while the store does not answer.
func (s *Sessions) WithinGrace(lost time.Time) bool {
	return s.terms.withinGrace(lost.UnixMilli(), s.cache.now())
}

// withinGrace is [Sessions.WithinGrace] for a time in milliseconds.
func (t terms) withinGrace(lost, now int64) bool { return t.grace >= 0 && now-lost <= t.grace }

// believed returns lost if what was lost then may still be served, and otherwise 0.
func (t terms) believed(lost, now int64) int64 {
	if t.withinGrace(lost, now) {
		return lost
	}
	return 0
}
