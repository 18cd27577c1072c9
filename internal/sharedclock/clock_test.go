package sharedclock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/sharedclock"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A machine is a node and its store. Tests advance the time, and set how far each clock
// is off.
type machine struct {
	t           *testing.T
	passed      time.Duration
	wall, store time.Duration
	trip        time.Duration // the time that an answer of the store takes
	err         error
	reported    []sharedclock.Status
	*sharedclock.Clock
}

func newMachine(t *testing.T, wall time.Duration) *machine {
	t.Helper()
	m := &machine{t: t, wall: wall}
	m.Clock = sharedclock.New(sharedclock.Options{
		Wall:    func() time.Time { return noon.Add(m.passed + m.wall) },
		Elapsed: func() time.Duration { return m.passed },
		Report:  func(s sharedclock.Status) { m.reported = append(m.reported, s) },
	})
	return m
}

func (m *machine) ask(context.Context) (time.Time, error) {
	m.passed += m.trip / 2
	told := noon.Add(m.passed + m.store)
	m.passed += m.trip - m.trip/2
	return told, m.err
}

// pass advances the time, and compares the clocks meanwhile.
func (m *machine) pass(d time.Duration, ask func(context.Context) (time.Time, error)) {
	for end := m.passed + d; m.passed < end; m.passed += 5 * time.Second {
		m.Check(m.t.Context(), ask)
	}
}

// wantOff checks how far the clock is from the true time.
func (m *machine) wantOff(want time.Duration) {
	m.t.Helper()
	if off := m.Now().Sub(noon.Add(m.passed)); (off - want).Abs() > 10*time.Millisecond {
		m.t.Errorf("it is off by %s, want %s", off, want)
	}
}

func TestNodesFollowTheClockOfTheirStore(t *testing.T) {
	for _, wall := range []time.Duration{0, 70 * time.Second, -70 * time.Second, sharedclock.MaxDifference, -sharedclock.MaxDifference} {
		m := newMachine(t, wall)
		m.wantOff(wall)
		m.Check(t.Context(), m.ask)
		m.wantOff(0)
		if s := m.Status(); !s.Asked || !s.Followed || s.Difference != wall {
			t.Errorf("%s ahead: the status is %+v", wall, s)
		}
		if told := len(m.reported) > 0; told != (wall != 0) {
			t.Errorf("%s ahead: reported %+v", wall, m.reported)
		}
	}
}

// It is unknown which of the two clocks is wrong.
func TestAStoreWhoseClockIsFarOffIsNotFollowed(t *testing.T) {
	for _, off := range []time.Duration{6 * time.Minute, -56 * 365 * 24 * time.Hour} {
		m := newMachine(t, time.Second)
		m.store = off
		m.pass(time.Hour, m.ask)
		m.wantOff(time.Second)
		if s := m.Status(); s.Followed || !s.Asked || len(m.reported) == 0 {
			t.Errorf("the status is %+v, reported %d times", s, len(m.reported))
		}
	}
}

func TestAClockThatJumpsForSecondsDoesNotCount(t *testing.T) {
	for _, by := range []time.Duration{2 * time.Second, 4 * time.Minute, 24 * time.Hour, -time.Hour} {
		for name, test := range map[string]func(m *machine) (which *time.Duration, ask func(context.Context) (time.Time, error)){
			"of a node alone":   func(m *machine) (*time.Duration, func(context.Context) (time.Time, error)) { return &m.wall, nil },
			"of a node":         func(m *machine) (*time.Duration, func(context.Context) (time.Time, error)) { return &m.wall, m.ask },
			"of a node's store": func(m *machine) (*time.Duration, func(context.Context) (time.Time, error)) { return &m.store, m.ask },
		} {
			m := newMachine(t, 0)
			which, ask := test(m)
			m.pass(time.Minute, ask)
			*which = by
			for range 5 {
				m.pass(5*time.Second, ask)
				m.wantOff(0)
			}
			*which = 0
			m.pass(time.Minute, ask)
			m.wantOff(0)
			if m.Status().Jump != 0 || len(m.reported) == 0 && by.Abs() >= sharedclock.Notable {
				t.Errorf("%s, by %s: the status is %+v, reported %d times", name, by, m.Status(), len(m.reported))
			}
		}
	}
}

// As where someone sets the clock of one node wrong: sessions would be over there
// that go on at all others.
func TestANodeWhoseOwnClockIsSetWrongGoesOnByTheStore(t *testing.T) {
	for _, by := range []time.Duration{6 * time.Minute, 3 * time.Hour, -3 * time.Hour, 400 * 24 * time.Hour} {
		m := newMachine(t, time.Second)
		m.pass(time.Minute, m.ask)
		m.wall += by
		m.pass(time.Hour, m.ask)
		m.wantOff(0)
		if s := m.Status(); !s.Followed || s.Difference != m.wall || len(m.reported) == 0 {
			t.Errorf("by %s: the status is %+v, reported %d times", by, s, len(m.reported))
		}
		m.wall = 0
		m.pass(time.Minute, m.ask)
		m.wantOff(0)
	}
}

// As after a machine was suspended, or when someone has set a clock right.
func TestAClockThatStaysWhereItJumpedCounts(t *testing.T) {
	m := newMachine(t, 0)
	m.pass(time.Minute, nil)
	m.wall = 8 * time.Hour
	m.pass(time.Minute, nil)
	m.wantOff(8 * time.Hour)

	m = newMachine(t, 0)
	m.pass(time.Minute, m.ask)
	m.wall, m.store = 8*time.Hour, 8*time.Hour
	m.pass(time.Minute, m.ask)
	m.wantOff(8 * time.Hour)
}

// Two opposite jumps do not count as one jump that lasted.
func TestAClockThatJumpsBackAndForthDoesNotCount(t *testing.T) {
	m := newMachine(t, 0)
	m.pass(time.Minute, nil)
	for i := range 20 {
		m.wall = time.Duration(1+i%2) * time.Hour
		m.pass(10*time.Second, nil)
	}
	m.wantOff(0)
}

func TestAClockFollowsDrift(t *testing.T) {
	m := newMachine(t, 0)
	for range 1000 {
		m.store += 50 * time.Millisecond
		m.wall -= 50 * time.Millisecond
		m.pass(5*time.Second, m.ask)
		m.wantOff(m.store)
	}
}

// While the store does not answer, or answers late, the last known time continues.
func TestAStoreThatDoesNotAnswerDoesNotChangeTheClock(t *testing.T) {
	m := newMachine(t, 70*time.Second)
	m.err = errors.New("unavailable")
	m.pass(time.Minute, m.ask)
	m.wantOff(70 * time.Second)
	m.err = nil
	m.Check(t.Context(), m.ask)
	m.wantOff(0)
	m.err = errors.New("unavailable")
	m.pass(time.Hour, m.ask)
	m.wantOff(0)
	if s := m.Status(); s.Problem != "unavailable" || !s.Followed || s.Difference != 70*time.Second {
		t.Errorf("the status is %+v", s)
	}
	m.err, m.trip, m.store = nil, 3*time.Second, -time.Second
	m.Check(t.Context(), m.ask)
	m.wantOff(0)
	m.trip = 500 * time.Millisecond
	m.store = 300 * time.Millisecond // no more than the error of a slow answer
	m.Check(t.Context(), m.ask)
	m.wantOff(0)
}

func TestATimeStampIsInNoNodesFuture(t *testing.T) {
	for _, c := range []struct {
		name                  string
		wall, store, earliest time.Duration
	}{
		{"the node is ahead", 70 * time.Second, 0, 0},
		{"the node is behind", -70 * time.Second, 0, -70 * time.Second},
		{"the store is ahead", 0, 70 * time.Second, 0},
		{"the node is far behind", -6 * time.Minute, 0, -6 * time.Minute},
	} {
		m := newMachine(t, c.wall)
		m.store = c.store
		m.Check(t.Context(), m.ask)
		if off := m.Earlier().Sub(noon.Add(m.passed)); off != c.earliest {
			t.Errorf("%s: it is off by %s, want %s", c.name, off, c.earliest)
		}
	}
	m := newMachine(t, 0)
	m.Check(t.Context(), nil)
	m.wall = -time.Hour // set just now
	if off := m.Earlier().Sub(noon.Add(m.passed)); off != 0 {
		t.Errorf("a clock that was just set back: off by %s", off)
	}
}

// The time has no monotonic reading: time stamps of other nodes have none, too.
func TestTheTimeHasNoMonotonicReading(t *testing.T) {
	c := sharedclock.New(sharedclock.Options{})
	c.Check(t.Context(), nil)
	for _, now := range []time.Time{c.Now(), c.Earlier()} {
		if now != now.Round(0) || time.Since(now).Abs() > time.Minute {
			t.Errorf("it is %v", now)
		}
	}
}

func BenchmarkNow(b *testing.B) {
	c := sharedclock.New(sharedclock.Options{})
	for b.Loop() {
		_ = c.Now()
	}
}

func BenchmarkTimeNow(b *testing.B) {
	for b.Loop() {
		_ = time.Now()
	}
}
