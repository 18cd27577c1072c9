package providertest

import (
	"sync/atomic"
	"time"
)

// Clock stands still until a test sets it.
type Clock struct{ Ms atomic.Int64 }

func (c *Clock) Now() time.Time { return time.UnixMilli(c.Ms.Load()) }

func (c *Clock) Advance(by time.Duration) { c.Ms.Add(by.Milliseconds()) }
