// Package sharedclock has the time that the nodes of one store share. It is the time of
// the store, if that can be asked. So a record of one node is neither expired nor from
// the future for another node whose own clock is wrong.
//
// # Jumps
//
// A [Clock] runs on the processor's monotonic clock, which no program can set. A wall
// clock that jumps, here or at the store, changes nothing at first: a jump is only
// accepted if it lasts for half a minute. A clock that jumps back before that has
// expired and deleted nothing.
//
// # Maximum difference
//
// The clock follows the store while the clocks of store and node differ by at most
// [MaxDifference], or if they did and only the node's clock was set since, which the
// monotonic clock tells. Otherwise one of the two is badly wrong, it is unknown which,
// and each node uses its own clock.
package sharedclock

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxDifference is the largest difference between the clocks of a node and its
	// store, if the node's clock was not set since the process started.
	MaxDifference = 5 * time.Minute

	// BetweenNodes is how much later than here another node may take a signed message
	// for fresh: its clock may be that much behind ours.
	BetweenNodes = 2 * MaxDifference

	// Notable is the least difference that is reported.
	Notable = 10 * time.Second

	// checkInterval is the time between two comparisons of the clocks. firstInterval is
	// that time until the store has answered once.
	checkInterval = 5 * time.Second
	firstInterval = time.Second

	// settleTime is how long a clock that has jumped must keep its new time before it
	// counts. jump is the smallest change that is a jump. A smaller one is drift.
	settleTime = 30 * time.Second
	minJump    = time.Second

	// maxRoundTrip is the maximum time of an answer of the store. The store's time is
	// known with an error of at most half of that.
	maxRoundTrip = time.Second
)

// Options of a [Clock]. The zero value is ready to use.
type Options struct {
	// Wall is the clock of this machine. Default: time.Now.
	Wall func() time.Time

	// Elapsed is the time since some moment, by a clock that cannot be set. Default:
	// the monotonic clock of the process.
	Elapsed func() time.Duration

	// Report is called with what an operator should look at: the clocks differ, one
	// has jumped, or the store has not told its time yet. It must not block. Default:
	// no call.
	Report func(Status)
}

// A Status is the result of a comparison of the clocks.
type Status struct {
	// Asked reports whether the store has told its time. Difference is then how far the
	// clock of this node is ahead of it, or behind if it is negative.
	Asked      bool          `json:"asked"`
	Difference time.Duration `json:"difference_ns"`

	// Followed reports whether the clock follows the store, and not this node.
	Followed bool `json:"followed"`

	// Jump is how far the followed clock has jumped, ahead or (if negative) back. The
	// jump does not count yet.
	Jump time.Duration `json:"jump_ns,omitempty"`

	// Problem is the reason why the store does not tell its time.
	Problem string `json:"problem,omitempty"`
}

// A Clock is safe for concurrent use.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration
	report  func(Status)
	start   reading // the clock of this machine when the process began

	at     atomic.Pointer[reading]
	status atomic.Pointer[Status]

	mu      sync.Mutex // one check at a time
	settled bool       // a clock is followed, so a different time is a jump
	jumped  *jumped    // nil: no jump waits to settle
}

// A reading is a time and the monotonic clock at that time.
type reading struct {
	time    time.Time
	elapsed time.Duration
}

// jumped is a jump, and the time when it was first seen.
type jumped struct {
	by    time.Duration
	since time.Duration
}

// New returns a clock that follows this machine's clock until the first check.
func New(o Options) *Clock {
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Elapsed == nil {
		begun := time.Now()
		o.Elapsed = func() time.Duration { return time.Since(begun) }
	}
	if o.Report == nil {
		o.Report = func(Status) {}
	}
	c := &Clock{wall: o.Wall, elapsed: o.Elapsed, report: o.Report}
	c.status.Store(new(Status))
	c.set(o.Wall())
	c.start = *c.at.Load()
	return c
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	return c.at.Load().now(c.elapsed())
}

// now is the time at the given monotonic clock.
func (r *reading) now(elapsed time.Duration) time.Time { return r.time.Add(elapsed - r.elapsed) }

// Earlier returns the time of this clock or of this machine, whichever is earlier. If
// one of the two is right, no correct clock sees the result in the future.
func (c *Clock) Earlier() time.Time {
	now := c.Now()
	if wall := c.wall().Round(0); wall.Before(now) && now.Sub(wall) <= MaxDifference {
		return wall
	}
	return now
}

// Wall returns the time by the clock of this machine.
func (c *Clock) Wall() time.Time { return c.wall() }

// Status returns what the last check found.
func (c *Clock) Status() Status { return *c.status.Load() }

// Run checks the clock until ctx ends. ask returns the time of the store. If ask is
// nil, the clock follows this machine's clock.
func (c *Clock) Run(ctx context.Context, ask func(context.Context) (time.Time, error)) {
	for {
		c.Check(ctx, ask)
		interval := checkInterval
		if ask != nil && !c.Status().Asked {
			interval = firstInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

// Check compares the clocks once, as [Clock.Run] does.
func (c *Clock) Check(ctx context.Context, ask func(context.Context) (time.Time, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ask == nil {
		c.settled = true // the clock followed this machine from the start
		c.apply(ctx, Status{}, c.wall(), 0)
		return
	}
	begun := c.elapsed()
	store, err := ask(ctx)
	trip := c.elapsed() - begun
	if err == nil && trip > maxRoundTrip {
		err = fmt.Errorf("it took %s to answer", trip.Round(time.Millisecond))
	}
	if err != nil {
		status := c.Status()
		status.Problem = err.Error()
		if !status.Asked { // the time of the store was never known
			c.apply(ctx, status, c.wall(), 0)
			return
		}
		c.publish(ctx, status)
		return
	}
	store = store.Add(trip / 2)
	wall := c.wall()
	status := Status{Asked: true, Difference: wall.Sub(store)}
	unset := c.start.now(c.elapsed()) // the time if the clock had not been set
	status.Followed = status.Difference.Abs() <= MaxDifference || unset.Sub(store).Abs() <= MaxDifference
	if status.Followed {
		wall = store
	}
	c.apply(ctx, status, wall, trip)
}

// apply follows a clock whose time is known with an error of at most margin, unless
// it has just jumped.
func (c *Clock) apply(ctx context.Context, status Status, to time.Time, margin time.Duration) {
	by := to.Sub(c.Now())
	switch {
	case by.Abs() <= margin: // the difference may be an error of the measurement
		c.jumped = nil
	case by.Abs() <= minJump, status.Asked && !c.settled:
		c.jumped = nil
		c.set(to)
	case c.jumped == nil || (by-c.jumped.by).Abs() > minJump:
		c.jumped = &jumped{by, c.elapsed()}
	case c.elapsed()-c.jumped.since >= settleTime:
		c.jumped = nil
		c.set(to)
	}
	if status.Asked {
		c.settled = true
	}
	if c.jumped != nil {
		status.Jump = by
	}
	c.publish(ctx, status)
}

// set sets the time. It drops the monotonic reading, which would be used in
// comparisons.
func (c *Clock) set(now time.Time) {
	c.at.Store(&reading{now.Round(0), c.elapsed()})
}

func (c *Clock) publish(ctx context.Context, status Status) {
	c.status.Store(&status)
	unknown := status.Problem != "" && !status.Asked // otherwise it is an outage, which other code reports
	if ctx.Err() == nil && (unknown || status.Jump != 0 || status.Difference.Abs() >= Notable) {
		c.report(status)
	}
}
