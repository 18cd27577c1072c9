// Package testclock is a clock that stands still until a test moves it.
package testclock

import (
	"sync/atomic"
	"time"
)

// A Clock stands still until it is advanced.
type Clock struct {
	start  time.Time
	passed atomic.Int64
}

// New returns a clock that stands at start.
func New(start time.Time) *Clock { return &Clock{start: start} }

// Now returns the time of the clock.
func (c *Clock) Now() time.Time { return c.start.Add(time.Duration(c.passed.Load())) }

// Advance moves the clock forward.
func (c *Clock) Advance(by time.Duration) { c.passed.Add(int64(by)) }
