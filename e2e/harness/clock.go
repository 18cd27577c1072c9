package harness

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// clocked is the server with a clock that tests set: of all that is built, it
// alone has one.
var clocked build

// A Clock is that of the machine which one server, or several, believe to run on.
type Clock struct {
	tb   testing.TB
	path string
}

// NewClock returns a clock that is ahead of the true one; below zero it is behind.
func NewClock(tb testing.TB, ahead time.Duration) *Clock {
	tb.Helper()
	clocked.Do(func() { clocked.make(Tags + ",testclock") })
	if clocked.err != nil {
		tb.Fatal(clocked.err)
	}
	c := &Clock{tb, filepath.Join(tb.TempDir(), "clock")}
	c.Set(ahead)
	return c
}

// Set has it jump.
func (c *Clock) Set(ahead time.Duration) {
	c.tb.Helper()
	beside := c.path + ".new"
	err := os.WriteFile(beside, []byte(ahead.String()), 0o600)
	if err == nil {
		err = os.Rename(beside, c.path)
	}
	if err != nil {
		c.tb.Fatal(err)
	}
}

// Of has a server go by it: an option of [Start].
func (c *Clock) Of(s *Server) {
	s.binary, s.env = clocked.path, append(s.env, "SSO_TEST_CLOCK="+c.path)
}
